/**
 * ONNX Runtime's texts about an operator that it cannot run, as the node and the reason. The texts name the operator but, but for
 * one, not the node: the model is searched for it.
 */
import type { ModelProto, NodeProto } from 'onnx-buf'
import type { ErrorFacts } from '../errors.js'
import { decodeModel, graphOf, isDefaultDomain } from '../onnx/model.js'
import { subgraphs } from '../onnx/subgraphs.js'

interface Complaint {
  readonly isAbout: (node: NodeProto) => boolean
  /** About the node. */
  readonly problem: (operator: string) => string
}

/** What a text complains about; undefined for other texts. */
function complaintOf(reason: string): Complaint | undefined {
  const versioned = /Op registered for (.+) (?:with|is deprecated in) domain_version of (\d+)/.exec(reason)
  if (versioned !== null) {
    const [, op, version] = versioned
    return {
      isAbout: ({ opType }) => opType === op,
      problem: (operator) => `ONNX Runtime has no operator ${operator} in opset ${version}`,
    }
  }
  const unregistered = /(?:Fatal error: |^)(.*):(.+)\(-?\d+\) is not a registered function\/op/.exec(reason)
  if (unregistered !== null) {
    const [, domain, op] = unregistered
    return {
      isAbout: (node) => node.opType === op && node.domain === domain,
      problem: (operator) => `ONNX Runtime has no operator ${operator}`,
    }
  }
  const imports = /No opset import for domain '(.+)'/.exec(reason)
  if (imports !== null)
    return {
      isAbout: ({ domain }) => domain === imports[1],
      problem: (operator) => `the model imports no version of the domain of its operator ${operator}`,
    }
  const kernel = /Could not find an implementation for (.+)\(\d+\) node with name '(.*)'/.exec(reason)
  if (kernel === null) return undefined
  return {
    isAbout: ({ opType, name }) => opType === kernel[1] && name === kernel[2],
    problem: (operator) => `ONNX Runtime cannot compute ${operator} with these element types`,
  }
}

/**
 * The node that a model was refused for.
 * @param model bytes of the model
 * @param reason ONNX Runtime's text
 * @returns null if the text is about something else
 */
export function unknownOperator(model: Uint8Array, reason: string): ErrorFacts | null {
  const complaint = complaintOf(reason)
  const node = complaint === undefined ? undefined : find(decodeModel(model), complaint.isAbout)
  if (complaint === undefined || node === undefined) return null
  const { name, opType, domain, output } = node
  return {
    place: `node '${name || `${opType}_${output[0] ?? ''}`}'`,
    problem: complaint.problem(isDefaultDomain(domain) ? opType : `${domain}.${opType}`),
  }
}

/** The first such node of the graph, of its bodies, or of the functions of the model. */
function find(model: ModelProto, isAbout: (node: NodeProto) => boolean): NodeProto | undefined {
  const open = [graphOf(model).node, ...model.functions.map(({ node }) => node)]
  for (const nodes of open)
    for (const node of nodes) {
      if (isAbout(node)) return node
      open.push(...subgraphs(node).map((body) => body.node))
    }
  return undefined
}
