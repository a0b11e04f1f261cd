/**
 * Samples for the models: photos, lines and pages of text, speech, and what the wake word front end makes of speech. All but the
 * photos are made here, from seeds. Those of calibration and those to test differ in words, voices and photos.
 */
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Runner } from '#src/calibration/runner.js'
import { decodeImage } from '#src/data/images.js'
import { resample, resampledLength, wavLayout, wavValues } from '#src/data/wav.js'
import { drawAt } from '#src/random.js'
import { floatsOf } from '#src/tensor/floats.js'
import { canvases, FONTS, speak } from './tools.js'

type Part = 'calib' | 'test'
const PARTS: readonly Part[] = ['calib', 'test']
const seedOf = (part: Part): number => (part === 'calib' ? 1 : 1000)

const WORDS =
  'the quick brown fox jumps over a lazy dog invoice total amount due date customer number street city price tax paid receipt thank you visit again order item quantity description shipping address phone email signature account balance payment method credit card station platform ticket morning evening weather report meeting room agenda minutes project budget 2024 19.99 12/05/2023 A-4417 INV-0093 7:45 100%'.split(
    ' ',
  )

const SENTENCES = [
  'alexa, what time is it in the kitchen',
  'hey jarvis, turn on the lights in the living room',
  'hey mycroft, play some music for the evening',
  'hey rhasspy, close the garage door please',
  'set a timer for ten minutes',
  'start a timer for one hour and call me',
  "what's the weather like today",
  'what is the weather going to be tomorrow',
  'the train to the city leaves at a quarter past seven',
  'we should meet again next week to talk about the budget',
  'please send me the report before the end of the day',
  'he walked along the river until it became dark',
  'my sister bought three apples and a loaf of bread',
  'nobody knew why the old clock had stopped',
  'there is a small restaurant behind the station',
  'the children were playing in the garden all afternoon',
] as const

const VOICES = ['en-us', 'en-gb', 'en-us+f2', 'en-gb+m3', 'en-us+f4', 'en-gb+f3', 'en-us+m7'] as const

/** Speech of a part: (files) at 16 kHz with pauses, noise and different loudness. */
async function makeSpeech(folder: string, part: Part): Promise<void> {
  await mkdir(folder, { recursive: true })
  const seed = seedOf(part)
  for (let i = 0; i < (part === 'calib' ? 120 : 160); i++) {
    const draw = (what: number): number => drawAt(seed, i, what)
    const text = `${SENTENCES[(part === 'calib' ? i : i * 3 + 1) % SENTENCES.length]}. ${SENTENCES[Math.floor(draw(1) * SENTENCES.length)]}`
    const voice = VOICES[(i + (part === 'calib' ? 0 : 3)) % VOICES.length]!
    const spoken = at16kHz(await speak(text, voice, 130 + Math.round(60 * draw(2))), 'espeak-ng')
    // A wake word is recognised at the end of two seconds.
    const [before, after] = [32000, 8000]
    const [gain, noise] = [0.3 + 0.7 * draw(3), 10 ** (-4.5 + 1.5 * draw(4))]
    const sound = new Float32Array(before + spoken.length + after)
    spoken.forEach((value, k) => {
      sound[before + k] = gain * value
    })
    sound.forEach((value, k) => {
      sound[k] = value + noise * gaussian(seed + i, k)
    })
    await writeFile(join(folder, `${String(i).padStart(2, '0')}.wav`), wav(sound))
  }
}

function at16kHz(bytes: Uint8Array, place: string): Float32Array {
  const layout = wavLayout(bytes, place)
  const length = resampledLength(layout.frames, layout.rate, 16000)
  return resample(wavValues(bytes, layout), layout.rate, 16000, length)
}

const gaussian = (seed: number, k: number): number =>
  Math.sqrt(-2 * Math.log(1 - drawAt(seed, k, 5))) * Math.cos(2 * Math.PI * drawAt(seed, k, 6))

/** 16 kHz, 16 bits, one channel. */
function wav(sound: Float32Array): Buffer {
  const bytes = Buffer.alloc(44 + 2 * sound.length)
  bytes.write('RIFF', 0, 'latin1')
  bytes.writeUInt32LE(36 + 2 * sound.length, 4)
  bytes.write('WAVEfmt ', 8, 'latin1')
  bytes.writeUInt32LE(16, 16)
  bytes.writeUInt16LE(1, 20)
  bytes.writeUInt16LE(1, 22)
  bytes.writeUInt32LE(16000, 24)
  bytes.writeUInt32LE(32000, 28)
  bytes.writeUInt16LE(2, 32)
  bytes.writeUInt16LE(16, 34)
  bytes.write('data', 36, 'latin1')
  bytes.writeUInt32LE(2 * sound.length, 40)
  sound.forEach((value, i) => {
    bytes.writeInt16LE(Math.round(32767 * Math.max(-1, Math.min(1, value))), 44 + 2 * i)
  })
  return bytes
}

/** Images with text. @param lines of an image; one fills it, more stand below each other @param turned half of them upside down */
async function makeText(
  folder: string,
  part: Part,
  { width, height, count, lines, turned }: TextImages,
): Promise<void> {
  await mkdir(folder, { recursive: true })
  const create = await canvases()
  for (let i = 0; i < count; i++) {
    const draw = (what: number): number => drawAt(seedOf(part) + 7 * lines + Number(turned), i, what)
    const grey = (least: number, what: number): string =>
      `rgb(${[0, 1, 2].map((c) => least + Math.floor(80 * draw(what + c))).join(',')})`
    const canvas = create(width, height)
    const context = canvas.getContext('2d')
    context.fillStyle = grey(175, 1)
    context.fillRect(0, 0, width, height)
    if (turned && i % 2 === 1) {
      context.translate(width, height)
      context.rotate(Math.PI)
    }
    context.fillStyle = grey(0, 4)
    let y = 0
    for (let line = 0; line < lines; line++) {
      const size = lines === 1 ? 24 + Math.floor(9 * draw(8)) : 12 + Math.floor(16 * draw(10 + line))
      y += lines === 1 ? 36 : size + 6 + Math.floor(14 * draw(40 + line))
      if (y > height - 4) break
      const words = Array.from(
        { length: 1 + Math.floor((lines === 1 ? 3 : 5) * draw(70 + line)) },
        (_, k) => WORDS[Math.floor(WORDS.length * draw(100 + 10 * line + k))]!,
      )
      context.font = `${size}px "${FONTS[Math.floor(FONTS.length * draw(9 + line))]}"`
      context.fillText(words.join(' '), lines === 1 ? 4 : 4 + Math.floor(36 * draw(200 + line)), y)
    }
    await writeFile(join(folder, `${String(i).padStart(3, '0')}.png`), canvas.toBuffer('image/png'))
  }
}

interface TextImages {
  readonly width: number
  readonly height: number
  readonly count: number
  readonly lines: number
  readonly turned: boolean
}

/** An array file. */
function npy(type: '<f4' | '|u1', dims: readonly number[], values: Float32Array | Uint8Array): Buffer {
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${dims.join(', ')},), }`
  const header = text.padEnd(64 * Math.ceil((text.length + 11) / 64) - 11)
  const head = Buffer.alloc(10 + header.length + 1)
  head.write('\x93NUMPY\x01\x00', 0, 'latin1')
  head.writeUInt16LE(header.length + 1, 8)
  head.write(`${header}\n`, 10, 'latin1')
  return Buffer.concat([head, Buffer.from(values.buffer, values.byteOffset, values.byteLength)])
}

const arrayOf = (rows: readonly Float32Array[]): Float32Array => {
  const all = new Float32Array(rows.length * (rows[0]?.length ?? 0))
  rows.forEach((row, i) => {
    all.set(row, i * row.length)
  })
  return all
}

/**
 * Inputs of the wake word models, as openWakeWord makes them: log-mel frames of speech, scaled; embeddings of windows of 76
 * frames, every 8 frames; sequences of embeddings.
 */
async function makeEmbeddings(folder: string, part: Part, models: string, runner: Runner): Promise<void> {
  const mel = await runner.load(await readFile(join(models, 'melspectrogram.onnx')))
  const embedding = await runner.load(await readFile(join(models, 'embedding_model.onnx')))
  const windows: Float32Array[] = []
  const sequences = new Map<number, Float32Array[]>([16, 22, 34].map((length) => [length, []]))
  const speech = join(folder, 'speech', part)
  for (const file of (await readdir(speech)).sort()) {
    const sound = at16kHz(await readFile(join(speech, file)), file).map((value) => 32768 * value)
    const tensor = { type: 'float32', dims: [1, sound.length], data: sound } as const
    const frames = Object.values(await mel.run({ input: tensor }))[0]!
    const scaled = floatsOf(frames).map((value) => value / 10 + 2)
    const own: Float32Array[] = []
    for (let at = 0; (at + 76) * 32 <= scaled.length; at += 8) own.push(scaled.slice(at * 32, (at + 76) * 32))
    const input = { type: 'float32', dims: [own.length, 76, 32, 1], data: arrayOf(own) } as const
    const made = floatsOf(Object.values(await embedding.run({ input_1: input }))[0]!)
    windows.push(...own.filter((_, i) => i % 4 === 0))
    for (const [length, rows] of sequences)
      for (let at = 0; (at + length) * 96 <= made.length; at += 2)
        rows.push(made.slice(at * 96, (at + length) * 96))
  }
  await mel.close()
  await embedding.close()
  await writeFile(
    join(folder, `frames-${part}.npy`),
    npy('<f4', [windows.length, 76, 32, 1], arrayOf(windows)),
  )
  for (const [length, rows] of sequences)
    await writeFile(
      join(folder, `embeddings${length}-${part}.npy`),
      npy('<f4', [rows.length, length, 96], arrayOf(rows)),
    )
}

/** Photos as the detector of lines takes them: RGB, and a fourth channel of ones. */
async function makeWithAlpha(folder: string, part: Part, size: number, count: number): Promise<void> {
  const photos = (await readdir(join(folder, 'photos', part))).sort().slice(0, count)
  const all = new Uint8Array(photos.length * size * size * 4).fill(1)
  for (const [i, photo] of photos.entries()) {
    const bytes = await readFile(join(folder, 'photos', part, photo))
    const { width, height, channels, data } = await decodeImage({ name: photo, bytes: async () => bytes })
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) {
        const from = (Math.floor((y * height) / size) * width + Math.floor((x * width) / size)) * channels
        for (let c = 0; c < 3; c++)
          all[((i * size + y) * size + x) * 4 + c] = Number(data[from + (channels >= 3 ? c : 0)])
      }
  }
  await writeFile(join(folder, `alpha${size}-${part}.npy`), npy('|u1', [photos.length, size, size, 4], all))
}

/**
 * Makes what is not there yet.
 * @param photos folder with `calib` and `eval`, of JPEG files
 */
export async function makeData(
  folder: string,
  models: string,
  photos: string,
  runner: Runner,
): Promise<void> {
  for (const part of PARTS) {
    const make = async (what: string, act: () => Promise<void>): Promise<void> => {
      const mark = join(folder, `.${what}-${part}`)
      if (existsSync(mark)) return
      console.log(`making ${what}, ${part}`)
      await act()
      await writeFile(mark, '')
    }
    await mkdir(folder, { recursive: true })
    await make('photos', async () => {
      await mkdir(join(folder, 'photos', part), { recursive: true })
      const from = join(photos, part === 'calib' ? 'calib' : 'eval')
      for (const name of (await readdir(from)).sort().slice(0, 64))
        await copyFile(join(from, name), join(folder, 'photos', part, name))
    })
    await make('speech', () => makeSpeech(join(folder, 'speech', part), part))
    await make('lines', () =>
      makeText(join(folder, 'lines', part), part, {
        width: 320,
        height: 48,
        count: 128,
        lines: 1,
        turned: false,
      }),
    )
    await make('turned', () =>
      makeText(join(folder, 'turned', part), part, {
        width: 192,
        height: 48,
        count: 128,
        lines: 1,
        turned: true,
      }),
    )
    await make('pages', () =>
      makeText(join(folder, 'pages', part), part, {
        width: 320,
        height: 320,
        count: 32,
        lines: 12,
        turned: false,
      }),
    )
    await make('embeddings', () => makeEmbeddings(folder, part, models, runner))
    await make('alpha320', () => makeWithAlpha(folder, part, 320, 48))
    await make('alpha512', () => makeWithAlpha(folder, part, 512, 24))
  }
}
