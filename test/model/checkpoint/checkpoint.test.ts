/** A run that is interrupted and continued gives the bytes and the report of one that is not, and does no finished stage again. */
import { create } from '@bufbuild/protobuf'
import { StringStringEntryProtoSchema, TensorProto_DataLocation } from 'onnx-buf'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { type RunFile, runFile } from '#src/model/checkpoint/names.js'
import type { Store } from '#src/model/checkpoint/store.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import type { PlanModelOptions, ProgressEvent, QuantizeModelResult, RunOptions } from '#src/options.js'
import { createQuantizer, executorOf, type Quantizer } from '#src/quantizer.js'
import { feedOf } from '../feeds.js'
import { CASES, type Case, convolutional, IMAGES, MemoryStore, withoutTimes } from './runs.js'

let runner: Runner
let quantizer: Quantizer
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
  quantizer = await createQuantizer({ threads: 1 })
})
afterAll(() => quantizer.close())

type Options = PlanModelOptions & Partial<RunOptions>

const run = (
  { model, calibration, options }: Pick<Case, 'model' | 'calibration' | 'options'>,
  more: Options = {},
): Promise<QuantizeModelResult> => {
  const samples = calibration === undefined ? {} : { calibration }
  const all = { ...samples, runner, quantizer, ...options, ...more }
  return quantizeModel(model(), all as PlanModelOptions & RunOptions)
}

/** How often layers are observed and solved meanwhile. */
async function counting<T>(act: () => Promise<T>): Promise<{ result: T; observed: number; solved: number }> {
  const executor = executorOf(quantizer)
  const spies = [vi.spyOn(executor, 'observe'), vi.spyOn(executor, 'solve')]
  try {
    const result = await act()
    const [observed = 0, solved = 0] = spies.map((spy) => spy.mock.calls.length)
    return { result, observed, solved }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

const solutions = (store: MemoryStore): string[] => store.names.filter((name) => /layers\/.*gpfq$/.test(name))

describe.each(CASES)('$name', (own) => {
  let expected: QuantizeModelResult
  let sets: number
  beforeAll(async () => {
    expected = await run(own)
    const store = new MemoryStore()
    await run(own, { checkpoint: store })
    sets = store.names.length
    expect(solutions(store)).toHaveLength(own.layers)
  })

  it('gives the same, wherever it is interrupted', async () => {
    for (let done = 0; done < sets; done++) {
      const store = new MemoryStore()
      store.failAfter(done)
      await expect(run(own, { checkpoint: store })).rejects.toThrow('the store is full')
      expect(store.names).toHaveLength(done)
      store.failAfter()
      const { model, report } = await run(own, { checkpoint: store })
      expect(Buffer.compare(model, expected.model), `interrupted after ${done} files`).toBe(0)
      expect(withoutTimes(report)).toEqual(withoutTimes(expected.report))
      // At most the layers of one stage are solved a second time: two here.
      expect(solutions(store).length - new Set(solutions(store)).size).toBeLessThan(2)
    }
  })

  it('observes and solves nothing again when it is finished, and writes nothing', async () => {
    const store = new MemoryStore()
    await run(own, { checkpoint: store })
    const names = store.names.splice(0)
    const { result, observed, solved } = await counting(() => run(own, { checkpoint: store }))
    expect([observed, solved]).toEqual([0, 0])
    expect(store.names).toEqual(['report.json'])
    expect(Buffer.compare(result.model, expected.model)).toBe(0)
    expect(withoutTimes(result.report)).toEqual(withoutTimes(expected.report))
    expect(new Set(names)).toContain('plan.json')
  })

  it('finds what is damaged, says so, and makes it again', async () => {
    const store = new MemoryStore()
    await run(own, { checkpoint: store })
    const whole = new Map(store.files)
    for (const [name, bytes] of whole) {
      if (name === 'report.json' || /layers\/.*json/.test(name)) continue
      const broken = bytes.slice()
      broken[Math.floor(broken.length / 2)]! ^= 1
      // The plan is there to be read, and decides nothing: it is damaged where it is no JSON.
      store.files.set(name, name === 'plan.json' ? broken.subarray(1) : broken)
      const { model, report } = await run(own, { checkpoint: store })
      expect(Buffer.compare(model, expected.model), name).toBe(0)
      expect(report.notes.filter(({ code }) => code === 'CHECKPOINT_DAMAGED')).toMatchObject([
        { place: `checkpoint, ${name}` },
      ])
      expect(store.files.get(name)?.length, name).toBe(bytes.length)
      const again = await counting(() => run(own, { checkpoint: store }))
      expect([again.observed, again.solved], name).toEqual([0, 0])
      expect(again.result.report.notes).toEqual(expected.report.notes)
    }
  })
})

const FIRST = CASES[0]!

describe('what a checkpoint is compared with', () => {
  let store: MemoryStore
  let expected: QuantizeModelResult
  beforeAll(async () => {
    store = new MemoryStore()
    expected = await run(FIRST, { checkpoint: store })
  })
  const HINT = 'go on with the same, or begin anew with restart'
  const another = { x: feedOf([16, 2, 6, 6], 99) }

  it.each<[string, Partial<Case>, Options, string]>([
    [
      'another model',
      { model: () => convolutional(9) },
      {},
      'model: expected the one that it was begun with, got another one',
    ],
    ['an option', {}, { levels: 7 }, 'option levels: expected 15, got 7'],
    [
      'an option with fields',
      {},
      { radius: { rule: 'max' } },
      'options actOrder, radius: expected true, {"rule":"search"}, got false, {"rule":"max"}',
    ],
    ['other layers', {}, { exclude: ['left'] }, 'option exclude: expected [], got ["left"]'],
    [
      'other samples',
      { calibration: [...IMAGES.slice(1), another] },
      {},
      'calibration samples: expected those that it was begun with, got others',
    ],
    [
      'fewer samples',
      { calibration: IMAGES.slice(1) },
      {},
      'calibration samples: expected those that it was begun with, got others',
    ],
    [
      'other samples to judge on',
      {},
      { test: [another] },
      'calibration samples: expected those that it was begun with, got others',
    ],
    ['another runtime', {}, {}, 'runtime: expected onnxruntime-web 1.30.0, got other 2.0'],
  ])('refuses %s in one sentence, and leaves the store as it is', async (what, changed, options, text) => {
    const names = store.names.length
    const own = what === 'another runtime' ? { runner: { ...runner, name: 'other 2.0 (cpu)' } } : {}
    const { observed, result } = await counting(() =>
      run({ ...FIRST, ...changed }, { checkpoint: store, ...options, ...own }).catch((error: Error) => error),
    )
    expect(result).toMatchObject({ code: 'CHECKPOINT_DIFFERS', message: `checkpoint, ${text}; ${HINT}` })
    expect([observed, store.names.length]).toEqual([0, names])
  })

  it('refuses another version', async () => {
    const old = new MemoryStore()
    for (const [name, bytes] of store.files) old.files.set(name, bytes)
    const { run: _, ...facts } = JSON.parse(new TextDecoder().decode(old.files.get('run.json'))) as RunFile
    const changed = await runFile({ ...facts, version: '0.0.9' })
    old.files.set('run.json', new TextEncoder().encode(JSON.stringify(changed)))
    await expect(run(FIRST, { checkpoint: old })).rejects.toThrow(
      /^checkpoint, version of gpfq: expected 0\.0\.9, got \d/,
    )
  })

  it.each<[string, Partial<Case>, Options]>([
    ['batches of another size', { calibration: cutTo(7) }, {}],
    ['single samples', { calibration: cutTo(1) }, {}],
    ['less memory', {}, { memory: 2 ** 26 }],
  ])('goes on with %s', async (_, changed, options) => {
    const own = { ...FIRST, ...changed }
    const { result, solved } = await counting(() => run(own, { checkpoint: store, ...options }))
    expect(solved).toBe(0)
    expect(Buffer.compare(result.model, expected.model)).toBe(0)
  })

  it('begins anew if it is told to, and then goes on with that', async () => {
    const own = { ...FIRST, options: { levels: 7 } }
    const other = await run(own)
    const anew = await counting(() => run(own, { checkpoint: store, restart: true }))
    expect(Buffer.compare(anew.result.model, other.model)).toBe(0)
    expect(anew.solved).toBeGreaterThan(0)
    const again = await counting(() => run(own, { checkpoint: store }))
    expect([again.solved, Buffer.compare(again.result.model, other.model)]).toEqual([0, 0])
    // The same run, begun anew: nothing of the one before is used.
    const third = await counting(() => run(own, { checkpoint: store, restart: true }))
    expect(third.solved).toBe(anew.solved)
  })
})

/** The images in batches of another size. */
function cutTo(size: number): Case['calibration'] & object {
  const each = 2 * 6 * 6
  const all = IMAGES.flatMap(({ x }) => [...(x!.data as Float32Array)])
  return Array.from({ length: Math.ceil(all.length / each / size) }, (_, i) => {
    const data = Float32Array.from(all.slice(i * size * each, (i + 1) * size * each))
    return { x: { type: 'float32', dims: [data.length / each, 2, 6, 6], data } }
  })
}

it('compares external data, too', async () => {
  const checkpoint = new MemoryStore()
  const { model, files } = external()
  const own = (bytes: Uint8Array) => {
    const readExternalData = async () => bytes
    return run({ ...FIRST, model: () => model }, { checkpoint, readExternalData })
  }
  const { model: expected } = await own(files)
  const again = await counting(() => own(files.slice()))
  expect([again.solved, Buffer.compare(again.result.model, expected)]).toEqual([0, 0])
  const other = files.slice()
  other[0]! ^= 1
  await expect(own(other)).rejects.toThrow('checkpoint, model: expected the one that it was begun with')
})

/** The first network with the weight of its first layer in a file beside it. */
function external(): { model: Uint8Array; files: Uint8Array } {
  const proto = decodeModel(convolutional())
  const weight = proto.graph!.initializer.find(({ name }) => name === 'w1')!
  const files = weight.rawData!.slice()
  weight.rawData = new Uint8Array(0)
  weight.dataLocation = TensorProto_DataLocation.EXTERNAL
  weight.externalData = [create(StringStringEntryProtoSchema, { key: 'location', value: 'w1.bin' })]
  return { model: encodeModel(proto), files }
}

it('says that it goes on, and reports finished layers like others', async () => {
  const checkpoint = new MemoryStore()
  const types = async (): Promise<string[]> => {
    const events: ProgressEvent[] = []
    await run(FIRST, { checkpoint, onProgress: (event) => events.push(event) })
    const fractions = events.flatMap((event) => (event.type === 'progress' ? [event.fraction] : []))
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
    expect(fractions.at(-1)).toBe(1)
    return events.map(({ type }) => type).filter((type) => type !== 'progress' && type !== 'layer-start')
  }
  const done = Array.from({ length: 4 }, () => 'layer-done')
  expect(await types()).toEqual(['plan', ...done, 'verify'])
  expect(await types()).toEqual(['resume', 'plan', ...done, 'verify'])
})

it('two runs at once in one store give the same bytes, and so does a third one after them', async () => {
  const expected = await run(FIRST)
  const checkpoint = new MemoryStore()
  const both = await Promise.all([run(FIRST, { checkpoint }), run(FIRST, { checkpoint })])
  for (const { model } of [...both, await run(FIRST, { checkpoint })])
    expect(Buffer.compare(model, expected.model)).toBe(0)
})

it('is continued in batches that fit into memory', async () => {
  const expected = await run(FIRST)
  const small: Runner = {
    name: runner.name,
    async load(bytes, options) {
      const session = await runner.load(bytes, options)
      return {
        ...session,
        run: async (feeds, fetches) => {
          if ((feeds.x?.dims[0] ?? 0) > 5) throw new Error('std::bad_alloc')
          return session.run(feeds, fetches)
        },
      }
    },
  }
  const checkpoint = new MemoryStore()
  checkpoint.failAfter(5)
  await expect(run(FIRST, { checkpoint, runner: small })).rejects.toThrow('the store is full')
  checkpoint.failAfter()
  const { model, report } = await run(FIRST, { checkpoint, runner: small })
  expect(Buffer.compare(model, expected.model)).toBe(0)
  expect(report.notes.map(({ code }) => code)).toContain('BATCHES_CUT')
})

it.each(['get', 'set'] as const)('can be aborted while its store does not answer to %s', async (what) => {
  const stop = new AbortController()
  const never = () => {
    setTimeout(() => stop.abort(new Error('enough')), 10)
    return new Promise<never>(() => {})
  }
  const checkpoint: Store = { get: async () => null, set: async () => {}, [what]: never }
  await expect(run(FIRST, { checkpoint, signal: stop.signal })).rejects.toThrow('enough')
})

it('is refused where it is no store', async () => {
  const checkpoint = { get: async () => null } as unknown as Store
  await expect(run(FIRST, { checkpoint })).rejects.toThrow(
    'checkpoint: expected a store { get, set }, got an object; folderStore and storageStore make one',
  )
})
