/**
 * The family: every method over H and G by its name. To add a method, write a file like its neighbours and add a line here
 * (CONTRIBUTING.md).
 */
import type { Method } from '../options.js'
import { beacon } from './beacon.js'
import { gpfq, msq } from './gpfq.js'
import { gptq } from './gptq.js'
import type { GramMethodKind } from './gramMethod.js'
import { qronos } from './qronos.js'
import type { Recipe } from './recipe.js'
import { sparse } from './sparse.js'
import { spfq } from './spfq.js'

const FAMILY: Readonly<Record<Exclude<Method, 'frame'>, GramMethodKind>> = {
  gpfq,
  msq,
  gptq,
  qronos,
  spfq,
  beacon,
}

/** The method of a recipe other than frame, which reads neither H nor G. Thresholds make gpfq the sparse one. */
export const kindOf = ({ method, sparsity }: Recipe): GramMethodKind =>
  sparsity === null ? FAMILY[method as keyof typeof FAMILY] : sparse
