/**
 * Strips: columns of a substitution that advance together, so that a panel of H is read once for all of them. A wider
 * strip reuses more, but makes fewer and longer tiles. No sum depends on it.
 */

/** Multiply-adds that one tile of work may take: about 20 ms, so that an abort is honoured soon. */
export const TILE_WORK = 2 ** 29

/** Beyond 16 columns a panel of H is reused enough. */
const MOST_COLUMNS = 16

/** Multiply-adds of a substitution for one panel of neurons: N²/2 for each of 8. */
export const columnWork = (panels: number): number => (4 * panels) ** 2 * 8 * 2

/** @param columns of one group: 32 tiles or more are made of them where there are so many */
export function stripOf(columns: number, panels: number): number {
  const most = Math.floor(TILE_WORK / columnWork(panels))
  return Math.max(1, Math.min(MOST_COLUMNS, Math.ceil(columns / 32), most))
}
