/** Lines of text as the recogniser reads them, by the float and by a quantized model. */
import { readFile } from 'node:fs/promises'
import type { Runner } from '#src/calibration/runner.js'
import { loadFeeds } from '#src/data/feeds.js'
import { openData } from '#src/data/files.js'

/** The share of lines of which both models read every character alike. */
export async function linesAlike(
  runner: Runner,
  float: string,
  quantized: string,
  data: string,
  samples: number,
): Promise<number> {
  const [first, second] = [
    await read(runner, float, data, samples),
    await read(runner, quantized, data, samples),
  ]
  return first.filter((line, i) => line === second[i]).length / first.length
}

async function read(
  runner: Runner,
  model: string,
  data: string,
  samples: number,
): Promise<readonly string[]> {
  const session = await runner.load(await readFile(model))
  const source = await openData(data)
  const feeds = await loadFeeds([source], session.inputs, {
    ...{ imageSize: { width: 320, height: 48 }, scale: 127.5, mean: [1], samples, batchSize: 8 },
  })
  const lines: string[] = []
  for await (const batch of feeds) {
    const { data: scores, dims } = Object.values(await session.run(batch))[0]!
    const [count = 0, steps = 0, classes = 0] = dims
    for (let line = 0; line < count; line++) {
      let [text, before] = ['', 0]
      for (let step = 0; step < steps; step++) {
        const at = (line * steps + step) * classes
        let best = 0
        for (let c = 1; c < classes; c++) if (scores[at + c]! > scores[at + best]!) best = c
        if (best !== 0 && best !== before) text += `${best},`
        before = best
      }
      lines.push(text)
    }
  }
  await session.close()
  return lines
}
