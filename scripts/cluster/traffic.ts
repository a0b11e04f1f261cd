/** Bytes that a run moves through the queue and the store, stage by stage, as Redis counts them. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis as Client } from 'ioredis'
import { createRunner } from '#src/calibration/onnxRuntime.js'
import { openCluster, openStore } from '#src/cluster/index.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { openModel } from '#src/onnx/openModel.js'
import { ended, startRedis, startWorker } from '../../test/cluster/machines.js'
import { calibrationOf, type Subject } from '../subjects.js'

export interface StageTraffic {
  /** The layers that were solved since the row before, as inputs × neurons. */
  readonly layers: readonly string[]
  readonly queue: number
  readonly toStore: number
  readonly fromStore: number
}

export async function measureTraffic(
  assets: string,
  subject: Subject,
  samples: number,
  workers: number,
): Promise<readonly StageTraffic[]> {
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-traffic-'))
  const [queue, own] = await Promise.all(
    ['queue', 'store'].map(async (name) => {
      await mkdir(join(folder, name))
      return startRedis(join(folder, name))
    }),
  )
  const children = Array.from({ length: workers }, () => startWorker(queue!.url, own!.url))
  const clients = [queue!, own!].map(({ url }) => new Client(url))
  const { store, close } = await openStore(own!.url)
  const cluster = await openCluster({ queue: queue!.url, store, shards: workers })
  try {
    const model = await openModel(await readFile(join(assets, subject.model)))
    const calibration = await calibrationOf(assets, subject, model.inputs, samples)
    const rows: StageTraffic[] = []
    let layers: string[] = []
    let before = await counted(clients)
    const reads: Promise<void>[] = []
    const read = async (): Promise<void> => {
      const names = layers
      layers = []
      const now = await counted(clients)
      const [inQueue, outQueue, toStore, fromStore] = now.map((value, i) => value - before[i]!)
      before = now
      rows.push({
        layers: names,
        queue: inQueue! + outQueue!,
        toStore: toStore!,
        fromStore: fromStore!,
      })
    }
    await quantizeModel(model, {
      ...{ calibration, runner: await createRunner(), threads: 1, cluster },
      onProgress(event) {
        if (event.type !== 'layer-done') return
        const { groups, inputs, neurons } = event.layer
        layers.push(`${groups > 1 ? `${groups} × ` : ''}${inputs}×${neurons}`)
        reads.push((reads.at(-1) ?? Promise.resolve()).then(() => (layers.length > 0 ? read() : undefined)))
      },
    })
    await Promise.all(reads)
    return rows
  } finally {
    await cluster.close()
    await close()
    for (const client of clients) client.disconnect()
    for (const child of children) await ended(child, 'SIGKILL')
    await queue!.stop()
    await own!.stop()
    await rm(folder, { recursive: true })
  }
}

/** Bytes into and out of each server since it began. */
async function counted(clients: readonly Client[]): Promise<readonly number[]> {
  const texts = await Promise.all(clients.map((client) => client.info('stats')))
  return texts.flatMap((text) =>
    ['total_net_input_bytes', 'total_net_output_bytes'].map((name) =>
      Number(new RegExp(`${name}:(\\d+)`).exec(text)?.[1] ?? 0),
    ),
  )
}
