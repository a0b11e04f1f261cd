/** Calls between two ends of a message channel, which clones what travels as between threads. */
import { MessageChannel } from 'node:worker_threads'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connect, type Remote, transfer } from '#src/engine/calls.js'
import { GpfqError } from '#src/errors.js'
import { nodePort } from '#src/platform/nodeWorker.js'

const served = {
  add: (a: number, b: number) => a + b,
  late: async (value: string) => value,
  bytes: () => transfer(given, [given.buffer]),
  refuse() {
    throw new GpfqError('INVALID_DATA', { place: 'samples', expected: 'some', got: 'none' })
  },
  range() {
    throw new RangeError('too far')
  },
  twice: async (n: number): Promise<number> => 2 * (await askBack(n)),
}

let channel: MessageChannel
let given = new Uint8Array(0)
let askBack: (n: number) => Promise<number>
let call: Remote<typeof served>

beforeEach(() => {
  channel = new MessageChannel()
  given = Uint8Array.of(1, 2, 3)
  connect<{ ask(n: number): number }>(nodePort(channel.port1), (remote) => {
    askBack = (n) => remote('ask', n)
    return served
  })
  call = connect<typeof served>(nodePort(channel.port2), () => ({ ask: (n: number) => n + 1 }))
})
afterEach(() => channel.port1.close())

test('results come back, each to its own call', async () => {
  expect(await Promise.all([call('add', 1, 2), call('late', 'b'), call('add', 3, 4)])).toEqual([3, 'b', 7])
})

test('an end can call back while it is called', async () => {
  expect(await call('twice', 20)).toBe(42)
})

test('buffers that are handed over leave their thread', async () => {
  expect(await call('bytes')).toEqual(Uint8Array.of(1, 2, 3))
  expect(given.length).toBe(0)
})

test('errors keep their kind and their fields', async () => {
  await expect(call('range')).rejects.toBeInstanceOf(RangeError)
  const error = await call('refuse').catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(GpfqError)
  expect(error).toMatchObject({ code: 'INVALID_DATA', place: 'samples', expected: 'some', got: 'none' })
})

test('a value that cannot be posted is an error of the call', async () => {
  await expect(call('late', Symbol('none') as unknown as string)).rejects.toThrow(/could not be cloned/)
})

test('messages of others are no calls', async () => {
  for (const message of [null, 'webpack', { type: 'ping' }]) channel.port2.postMessage(message)
  expect(await call('add', 1, 1)).toBe(2)
})
