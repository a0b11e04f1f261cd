/**
 * Which values of a graph are no tensors of numbers: sequences, optionals, maps and tensors of strings. A runner neither gives nor
 * takes them in a calibration, so they cannot be held between stages.
 *
 * Types are what the file declares, and else follow from the operators that make such values or pass them on. Functions of the
 * model and operators of other domains make numbers unless the file says otherwise.
 */
import {
  type AttributeProto,
  TensorProto_DataType as DataType,
  type NodeProto,
  type TypeProto,
} from 'onnx-buf'
import { intAttribute } from './attributes.js'
import type { GraphIndex } from './graph.js'
import { graphOf, isDefaultDomain } from './model.js'
import { isNumeric } from './tensor.js'

/** `element` is what a sequence or an optional holds. */
type Kind =
  | { readonly kind: 'numbers' | 'strings' | 'map' }
  | { readonly kind: 'sequence' | 'optional'; readonly element: Kind }

const NUMBERS: Kind = { kind: 'numbers' }
const STRINGS: Kind = { kind: 'strings' }

/** The names of the values that are no tensors of numbers, in time linear in the graph. */
export function nonNumericValues(graph: GraphIndex): ReadonlySet<string> {
  const kinds = new Map<string, Kind>()
  const { input, output, valueInfo, initializer } = graphOf(graph.model)
  const isString = ({ dataType }: { dataType: number }): boolean => dataType === DataType.STRING
  for (const { name } of initializer.filter(isString)) kinds.set(name, STRINGS)
  const declared = new Map<string, Kind>()
  for (const { name, type } of [...valueInfo, ...output, ...input]) {
    const kind = kindOf(type)
    if (kind !== undefined) declared.set(name, kind)
  }
  for (const name of graph.inputs) kinds.set(name, declared.get(name) ?? NUMBERS)
  const of = (name: string | undefined): Kind => kinds.get(name ?? '') ?? NUMBERS
  for (const index of graph.order) {
    const node = graph.nodes[index]!
    node.output.forEach((name, i) => {
      const kind = declared.get(name) ?? kindMade(node, i, of)
      if (kind.kind !== 'numbers') kinds.set(name, kind)
    })
  }
  return new Set([...kinds].filter(([, { kind }]) => kind !== 'numbers').map(([name]) => name))
}

/** The kind of a type; undefined where none is declared. */
function kindOf(type: TypeProto | undefined): Kind | undefined {
  switch (type?.value.case) {
    case undefined:
      return undefined
    case 'sequenceType':
      return { kind: 'sequence', element: kindOf(type?.value.value.elemType) ?? NUMBERS }
    case 'optionalType':
      return { kind: 'optional', element: kindOf(type?.value.value.elemType) ?? NUMBERS }
    case 'tensorType':
      return isNumeric(type) ? NUMBERS : STRINGS
    default:
      return { kind: 'map' }
  }
}

/** Operators that move elements of any type, and the input whose elements they are. */
const MOVES: ReadonlyMap<string, number> = new Map([
  ...`Compress Concat Expand Flatten Gather GatherElements GatherND Identity Pad Reshape ReverseSequence Scatter ScatterElements
  ScatterND SequenceErase SequenceInsert Slice Split Squeeze Tile Transpose Unique Unsqueeze`
    .split(/\s+/)
    .map((op): [string, number] => [op, 0]),
  ['Where', 1],
  ['OneHot', 2],
  ['CastLike', 1],
])

/** What a node makes as its output number `i`. @param of what it reads */
function kindMade(node: NodeProto, i: number, of: (name: string | undefined) => Kind): Kind {
  const [first] = node.input
  if (node.domain === 'ai.onnx.ml') return madeByLearner(node, i, of(first))
  if (!isDefaultDomain(node.domain)) return NUMBERS
  const moved = MOVES.get(node.opType)
  if (moved !== undefined) return i === 0 || node.opType === 'Split' ? of(node.input[moved]) : NUMBERS
  switch (node.opType) {
    case 'SequenceConstruct':
    case 'SplitToSequence':
      return { kind: 'sequence', element: of(first) }
    case 'SequenceEmpty':
      return { kind: 'sequence', element: elementKind(intAttribute(node, 'dtype', DataType.FLOAT)) }
    case 'SequenceMap':
      return { kind: 'sequence', element: kindOfBody(node, i) }
    case 'Optional':
      return { kind: 'optional', element: first ? of(first) : (kindOf(node.attribute[0]?.tp) ?? NUMBERS) }
    case 'SequenceAt':
    case 'ConcatFromSequence':
    case 'OptionalGetElement':
      return elementOf(of(first))
    case 'Cast':
      return elementKind(intAttribute(node, 'to', DataType.FLOAT))
    case 'StringConcat':
    case 'StringNormalizer':
      return STRINGS
    case 'StringSplit':
      return i === 0 ? STRINGS : NUMBERS
    case 'Constant':
      return node.attribute.some(isText) ? STRINGS : NUMBERS
    case 'If':
    case 'Scan':
      return kindOfBody(node, i)
    case 'Loop':
      return kindOfBody(node, i + 1) // its body gives the condition first
    default:
      return NUMBERS
  }
}

const elementKind = (elemType: number): Kind => (elemType === DataType.STRING ? STRINGS : NUMBERS)

const elementOf = (kind: Kind): Kind => ('element' in kind ? kind.element : kind)

const isText = ({ t, s, strings }: AttributeProto): boolean =>
  t?.dataType === DataType.STRING || s.length > 0 || strings.length > 0

/** The kind of an output of the node's first body, which declares it. */
const kindOfBody = ({ attribute }: NodeProto, i: number): Kind =>
  kindOf(attribute.find(({ g }) => g !== undefined)?.g?.output[i]?.type) ?? NUMBERS

/** Classifiers give labels first; label encoders turn strings into numbers, or numbers into strings. */
function madeByLearner({ opType, attribute }: NodeProto, i: number, input: Kind): Kind {
  const has = (names: readonly string[]): boolean =>
    attribute.some(({ name, strings }) => names.includes(name) && strings.length > 0)
  switch (opType) {
    case 'ZipMap':
      return { kind: 'sequence', element: { kind: 'map' } }
    case 'ArrayFeatureExtractor':
      return input
    case 'CategoryMapper':
      return input.kind === 'strings' ? NUMBERS : STRINGS
    case 'LabelEncoder':
      return has(['values_strings']) || (has(['classes_strings']) && input.kind !== 'strings')
        ? STRINGS
        : NUMBERS
    default:
      return i === 0 && has(['classlabels_strings', 'classlabels_string']) ? STRINGS : NUMBERS
  }
}
