/**
 * Trains the network that `gpfq demo` quantizes and writes everything in demo-data/: the model, calibration images,
 * test images with labels, and the README that states what they are. Run it with `npm run demo:train`.
 *
 * Deterministic: seeded, single-threaded, only exact IEEE operations in a fixed order, so every run on every machine
 * writes the same bytes. The 10,000 test images are looked at once, after the last step.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatNpz } from '../src/data/npz.js'
import { demoReadme } from './demo/demoReadme.js'
import {
  type Digits,
  imageSize,
  imageTensor,
  labelTensor,
  pixels,
  readDigits,
  spread,
} from './demo/digits.js'
import { exportModel } from './demo/exportModel.js'
import { Adam, argmax, Network } from './demo/network.js'
import { type Random, seeded, shuffle } from './demo/random.js'

const seed = 2010
const epochs = 7
const batch = 50
const rate = 0.003
const maxShift = 1 // pixels, up to which a training image is moved in either direction
const calibrationCount = 512
const testCount = 1000

function train(digits: Digits): Network {
  const random = seeded(seed)
  const network = new Network(batch, random)
  const adam = new Adam(network.parameters)
  const images = new Float64Array(batch * pixels)
  const labels = new Uint8Array(batch)
  const order = Uint32Array.from({ length: digits.count }, (_, i) => i)
  const steps = epochs * Math.floor(digits.count / batch)
  let step = 0
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const started = performance.now()
    let loss = 0
    shuffle(order, random)
    for (let first = 0; first + batch <= digits.count; first += batch) {
      for (let n = 0; n < batch; n++) {
        const index = order[first + n]!
        drawShifted(digits, index, images, n, random)
        labels[n] = digits.labels[index]!
      }
      loss += network.learn(images, labels)
      adam.step(rate * (1 - step++ / steps))
    }
    const seconds = (performance.now() - started) / 1000
    console.error(
      `epoch ${epoch}/${epochs}: loss ${(loss / digits.count).toFixed(4)}, ${seconds.toFixed(1)} s`,
    )
  }
  network.roundToFloat32()
  return network
}

/** Writes image `index` as row n of `images` (batch, 28, 28), moved by a random whole number of pixels, in 0..1. */
function drawShifted(digits: Digits, index: number, images: Float64Array, n: number, random: Random): void {
  const down = Math.floor(random() * (2 * maxShift + 1)) - maxShift
  const right = Math.floor(random() * (2 * maxShift + 1)) - maxShift
  for (let y = 0; y < imageSize; y++)
    for (let x = 0; x < imageSize; x++) {
      const fromY = y - down
      const fromX = x - right
      const inside = fromY >= 0 && fromY < imageSize && fromX >= 0 && fromX < imageSize
      const byte = inside ? digits.images[index * pixels + fromY * imageSize + fromX]! : 0
      images[n * pixels + y * imageSize + x] = byte / 255
    }
}

/** How many digits the network names correctly. */
function countCorrect(network: Network, digits: Digits): number {
  if (digits.count % network.batch !== 0)
    throw new RangeError(`expected a multiple of ${network.batch} digits`)
  let correct = 0
  for (let first = 0; first < digits.count; first += network.batch) {
    const bytes = digits.images.subarray(first * pixels, (first + network.batch) * pixels)
    const predicted = argmax(
      network.forward(
        Float64Array.from(bytes, (byte) => byte / 255),
        false,
      ),
    )
    predicted.forEach((label, n) => {
      if (label === digits.labels[first + n]) correct++
    })
  }
  return correct
}

/** The written files by name; the README states what the others hold. */
function demoFiles(): Readonly<Record<string, Uint8Array>> {
  const training = readDigits('train')
  const testing = readDigits('t10k')
  const network = train(training)
  const shipped = spread(testing, testCount)
  const calibration = spread(training, calibrationCount)
  const facts = {
    seed,
    epochs,
    parameters: network.parameters.reduce((sum, p) => sum + p.value.length, 0),
    calibrationCount,
    testCount,
    correctOfAll: countCorrect(network, testing),
    all: testing.count,
    correctOfShipped: countCorrect(network, shipped),
  }
  return {
    'digits.onnx': exportModel(network),
    'calibration.npz': formatNpz({ image: imageTensor(calibration) }),
    'test.npz': formatNpz({ image: imageTensor(shipped), label: labelTensor(shipped) }),
    'README.md': new TextEncoder().encode(demoReadme(facts)),
  }
}

const folder = join(process.cwd(), 'demo-data')
mkdirSync(folder, { recursive: true })
for (const [name, bytes] of Object.entries(demoFiles())) {
  writeFileSync(join(folder, name), bytes)
  console.log(`${createHash('sha256').update(bytes).digest('hex')}  ${name}  ${bytes.length} bytes`)
}
