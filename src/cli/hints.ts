/**
 * The command line's words for errors of the library: hints name its flags, and an argument that is an option goes by the
 * option's name. Texts are escaped, since places can be names out of a model.
 */
import { type DescribedError, describeError } from '../errors.js'
import { HINTS } from '../hints.js'
import { printable, short } from './terminal.js'
import { kebab } from './values.js'

/** Hints in the command line's words. Those that are not here read the same as in the library. */
export const CLI_HINTS: Readonly<Partial<Record<string, string>>> = {
  [HINTS['exclude-or-shrink']]:
    'leave the layer out with --exclude, or use fewer --samples, --patches or --threads',
  [HINTS['more-memory']]: 'allow more --memory, or leave the layer out with --exclude',
  [HINTS['exclude-layer']]: 'leave the layer out with --exclude',
  [HINTS['fewer-samples']]: 'use --samples below 4096, or leave the layer out with --exclude',
  [HINTS['scale-per-neuron']]: 'use --scale-per neuron, or leave the layer out with --exclude',
  [HINTS['radius-max']]: 'use --radius max without --act-order, or leave the layer out with --exclude',
  [HINTS['plain-path']]:
    'use --method gpfq --radius max without --passes and --act-order, or leave the layer out with --exclude',
  [HINTS['plain-path-fewer-samples']]:
    'use --method gpfq --radius max without --passes and --act-order, and --samples below 4096, or leave the layer out with --exclude',
  [HINTS['plain-rounding']]:
    'use --method msq --radius max, which needs no samples, or leave the layer out with --exclude',
  [HINTS['fewer-at-a-time']]: 'use a smaller --batch, fewer --threads, or install onnxruntime-node',
  [HINTS['other-format']]: 'try another --format, and please report it',
  [HINTS['seven-bits']]: 'use codes of 7 bits: --levels 127, or fewer',
  [HINTS['layout-nchw']]: 'try --layout nchw',
  [HINTS['layout-nhwc']]: 'try --layout nhwc',
  [HINTS['divide-by-255']]: 'is --scale 255 missing?',
  [HINTS['scale-mean-std']]: 'change or leave out --scale, --mean and --std',
  [HINTS['samples-for-input']]:
    'add it as NAME=DATA, or with --input NAME=VALUE where it is the same for every batch, or with --carry OUTPUT=NAME where it is a state',
  [HINTS['npz-with-names']]: 'write NAME=DATA, or give an .npz with these names',
  [HINTS['choose-array']]: 'choose one as FILE:ARRAY, for one of several inputs INPUT=FILE:ARRAY',
  [HINTS['image-size']]: 'give it as --image-size 640x640, or --image-size own for the size of each image',
  [HINTS['sound-length']]: 'give it with --sound-length',
  [HINTS['batch-axis']]: 'say which of its axes counts samples with --batch-axis NAME=AXIS',
  [HINTS['first-state']]: 'leave them out; its first value can be given with --input NAME=VALUE',
  [HINTS['sample-rate']]:
    'give the rate of the network with --sample-rate, and files of other rates are resampled',
  [HINTS['max-bytes']]: 'allow more with --max-data if the file is right',
  [HINTS['same-or-restart']]: 'go on with the same, choose another folder, or begin anew with --restart',
  [HINTS.overwrite]: 'choose another name or add --force',
}

/** Options of the library whose name on the command line is another word. */
const FLAGS: Readonly<Partial<Record<string, string>>> = {
  levelsFor: 'bits-for',
  foldBatchNorm: 'fold-bn',
  constants: 'input',
  batchAxes: 'batch-axis',
  states: 'carry',
}

/** `radius rule` as `--radius rule`: a place is the name of an option in camelCase, and perhaps some words after it. */
export function flagOf(place: string): string {
  const [name = ''] = /^\w*/.exec(place) ?? []
  return `--${FLAGS[name] ?? kebab(name)}${place.slice(name.length)}`
}

/**
 * The line of an error.
 * @param options names of the options in camelCase: an argument that is one of them goes by the option's name
 */
export function errorLine(error: DescribedError, options: ReadonlySet<string>): string {
  const { code, place } = error
  const [name = ''] = /^\w*/.exec(place) ?? []
  const refused = code === 'INVALID_ARGUMENT' && (options.has(name) || FLAGS[name] !== undefined)
  const shown =
    code === 'CHECKPOINT_DIFFERS'
      ? place.replace(/(?<=^checkpoint, )options? ([\w, ]+)$/, (_, names: string) =>
          names.split(', ').map(flagOf).join(', '),
        )
      : place
  return short(printable(describeError(error, CLI_HINTS, refused ? flagOf(place) : shown)))
}
