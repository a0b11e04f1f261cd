/**
 * Table (i): convolutions with stride 1 whose every position is sampled, from the caller's arrays to codes. H and G are
 * summed once by patches and once by correlations of the channels (src/methods/correlations.ts). One thread. Scales are
 * searched as by default, which needs the full G.
 */
import { createExecutor } from '#src/executor/choose.js'
import { type Case, cell, interleave } from './measure.js'
import { type Row, type Table, table } from './table.js'
import {
  allPositions,
  type Convolution,
  convolutionWork,
  nameOf,
  quantize,
  shapeOf,
  type Work,
} from './work.js'

const LAYERS: readonly Convolution[] = [
  { channels: 16, side: 32, images: 64 },
  { channels: 24, side: 56, images: 8 },
  { channels: 32, side: 16, images: 128 },
  { channels: 64, side: 32, images: 16 },
  { channels: 64, side: 8, images: 256 },
  { channels: 128, side: 28, images: 16 },
].map((layer) => ({ ...layer, groups: 1, neurons: layer.channels }))

export async function benchConvolutions(repetitions: number, count: number): Promise<Table> {
  const executor = await createExecutor({ threads: 1 })
  const rows: Row[] = []
  for (const layer of LAYERS.slice(0, count)) {
    for (const same of [true, false]) {
      const patches = convolutionWork(layer, same)
      const chosen = allPositions(patches)
      const timed = (name: string, work: Work): Case => ({
        name,
        run: () => quantize(executor, work, { rule: 'search' }),
      })
      const times = await interleave([timed('patches', patches), timed('chosen', chosen)], repetitions)
      const [byPatches, byChosen] = [times.get('patches')!, times.get('chosen')!]
      const { channels, side, images } = layer
      rows.push({
        layer: `${nameOf(shapeOf(layer))}, ${images} images ${channels}×${side}×${side}`,
        Xq: same ? '= X' : '≠ X',
        'by patches': cell(byPatches),
        chosen: chosen.shape.correlation === undefined ? 'patches' : 'correlations',
        'as chosen': cell(byChosen),
        'patches / chosen': `${(byPatches.min / byChosen.min).toFixed(2)}`,
      })
    }
  }
  await executor.close()
  return table(
    '(i) 3 × 3 convolutions at every position, scales searched, 1 thread: seconds min / median ± spread',
    ['layer', 'Xq', 'by patches', 'chosen', 'as chosen', 'patches / chosen'],
    rows,
  )
}
