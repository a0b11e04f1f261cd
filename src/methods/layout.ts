/**
 * A plan of memory: named regions with sizes and offsets. A plan lists what it needs and during which steps of the work each
 * region is in use; regions whose steps do not overlap share memory. The layout is plain data and prints. Code that
 * uses a region gets its address by name and computes no size again.
 */
import { type Arena, aligned, type Pointer } from '../wasm/arena.js'

/** What a plan asks for: bytes during all steps, or during the steps `from` to `to`, both included. */
export type RegionNeed = number | { readonly bytes: number; readonly from: number; readonly to: number }

export interface Region {
  /** Bytes from the beginning of the layout. */
  readonly offset: number
  readonly bytes: number
  /** First and last step during which the region is in use. */
  readonly from: number
  readonly to: number
}

export interface Layout {
  readonly regions: Readonly<Record<string, Region>>
  readonly bytes: number
}

/** Places regions, the largest first, each at the lowest offset where no region of the same step lies. */
export function layOut(needs: Readonly<Record<string, RegionNeed>>): Layout {
  const entries = Object.entries(needs).map(([name, need]) => {
    const own = typeof need === 'number' ? { bytes: need, from: 0, to: Number.MAX_SAFE_INTEGER } : need
    return { ...own, name, offset: 0 }
  })
  const placed: typeof entries = []
  for (const entry of [...entries].sort((a, b) => b.bytes - a.bytes)) {
    const peers = placed
      .filter(({ from, to }) => from <= entry.to && to >= entry.from)
      .sort((a, b) => a.offset - b.offset)
    for (const peer of peers) {
      if (entry.offset + entry.bytes <= peer.offset) break
      entry.offset = Math.max(entry.offset, aligned(peer.offset + peer.bytes))
    }
    placed.push(entry)
  }
  const regions = Object.fromEntries(entries.map(({ name, ...region }) => [name, region]))
  return { regions, bytes: Math.max(0, ...entries.map((entry) => entry.offset + entry.bytes)) }
}

/** The name of a layout's largest region. */
export const largestOf = ({ regions }: Layout): string | undefined =>
  Object.keys(regions).sort((a, b) => regions[b]!.bytes - regions[a]!.bytes)[0]

/** The addresses of a layout's regions. */
export interface Regions {
  /** @throws RangeError for a name that the layout does not have */
  at(name: string): Pointer
  /** Bytes of a region. */
  bytes(name: string): number
}

/**
 * Takes a layout's memory from the arena; give it back by `arena.release` of the mark before.
 * @throws GpfqError OUT_OF_MEMORY
 */
export function allocate(arena: Arena, layout: Layout): Regions {
  const { regions, bytes } = layout
  const base = arena.allocate(bytes, ` (most of it ${largestOf(layout)})`)
  const region = (name: string): Region => {
    const found = regions[name]
    if (found === undefined) throw new RangeError(`memory layout: no region is called '${name}'`)
    return found
  }
  return {
    at: (name) => base + region(name).offset,
    bytes: (name) => region(name).bytes,
  }
}
