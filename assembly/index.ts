/**
 * All kernels of gpfq: one WebAssembly module over one imported shared memory. Every export takes pointers and lengths and
 * processes its items [begin, end). It allocates nothing and keeps no state. Kernels that need scratch memory take the
 * number of the worker as their last argument.
 */
export { pack, padPlanes } from './pack'
export { gram, mirror } from './gram'
export { combine } from './combine'
export { pairRows } from './integers'
export { project } from './project'
export { substitute } from './substitute'
export { dequantize, round } from './alphabet'
export { sumInputs } from './means'
export { weighRows } from './weigh'
export { outputError, rowErrors } from './error'
export { probeArithmetic, probeRead } from './probe'
export { descend } from './descend'
export { permute, subtract, transpose } from './order'
export { factorBlock, reduce, retarget, reverse, solveBlock, unitLower } from './factor'
export { sweepTarget, walk } from './walk'
export { beacon } from './beacon'
export { vertexWalk } from './vertex'
export { frame } from './frame'
