/**
 * Hints that faces say in words of their own, because they name options and files: the command line (cli/hints.ts) and the
 * page. An error carries the words of the library, and a face has a table from these words to its own (`describeError`).
 * Only what knows models and data imports this file, so that the core entry does not bundle the words.
 */
import { EXCLUDE_OR_SHRINK } from './errors.js'

/** The words of hints by name: keys of a face's own table for `describeError`. */
export const HINTS = {
  'exclude-or-shrink': EXCLUDE_OR_SHRINK,
  'more-memory': 'allow more memory, or exclude the layer',
  'exclude-layer': 'exclude the layer',
  'fewer-samples': 'use fewer than 4096 samples, or exclude the layer',
  'scale-per-neuron': 'use one scale for each neuron, or exclude the layer',
  'radius-max': 'use radius max without actOrder, or exclude the layer',
  'plain-path': 'use method gpfq with radius max, without passes and actOrder, or exclude the layer',
  'plain-path-fewer-samples':
    'use method gpfq with radius max, without passes and actOrder, and fewer than 4096 samples, or exclude the layer',
  'plain-rounding': 'use method msq with radius max, which needs no samples, or exclude the layer',
  'fewer-at-a-time': 'use fewer samples at a time, fewer threads, or onnxruntime-node',
  'other-format': 'try another format, and please report it',
  'seven-bits': 'use codes of 7 bits, 127 levels or fewer',
  'layout-nchw': 'try layout nchw',
  'layout-nhwc': 'try layout nhwc',
  'divide-by-255': 'should they be divided by 255?',
  'scale-mean-std': 'change or leave out scale, mean and std',
  'samples-for-input': 'give samples for it by its name',
  'npz-with-names': 'name the input, or give an .npz with these names',
  'choose-array': 'choose one by its name',
  'image-size': 'give their size with imageSize, or their own with imageSize own',
  'sound-length': 'give it with soundLength',
  'batch-axis': 'say which of its axes counts samples with batchAxes',
  'first-state': 'leave them out; its first value can be a constant',
  'sample-rate': 'give the rate of the network with sampleRate, and files of other rates are resampled',
  'max-bytes': 'allow more with maxBytes if the file is right',
  overwrite: 'choose another name, or allow overwriting',
  'same-or-restart': 'go on with the same, or begin anew with restart',
  'convert-opset': 'convert it with onnx.version_converter first',
} as const

/** The name of a hint. */
export type HintName = keyof typeof HINTS
