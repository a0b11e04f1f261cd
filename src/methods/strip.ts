/**
 * Strips: columns of a substitution that one tile of work computes together, so that it reads each panel of H once for all
 * of them. A wider strip reuses H more, but makes fewer and longer tiles. No sum depends on the width.
 */

/** Most multiply-adds of one tile of work: about 20 ms, so that an abort takes effect soon. */
export const TILE_WORK = 2 ** 29

/** More than 16 columns do not make a substitution faster: each panel of H is reused enough. */
const MOST_COLUMNS = 16

/** Multiply-adds of a substitution for one panel of neurons: N²/2 for each of 8. */
export const columnWork = (panels: number): number => (4 * panels) ** 2 * 8 * 2

/**
 * Width of a strip in columns: at least 32 tiles where there are as many columns, and no tile above TILE_WORK.
 * @param columns panels of neurons times candidates, of one group
 * @param panels panels of 8 inputs
 */
export function stripOf(columns: number, panels: number): number {
  const most = Math.floor(TILE_WORK / columnWork(panels))
  return Math.max(1, Math.min(MOST_COLUMNS, Math.ceil(columns / 32), most))
}
