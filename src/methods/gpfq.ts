/**
 * GPFQ, greedy path following (Lybrand & Saab, 2010.15979; Zhang, Zhou & Saab, 2201.11113), in the Gram form, and MSQ,
 * which rounds each weight to the nearest value and computes its error in the same way. Mathematics: assembly/project.ts,
 * substitute.ts; float64 twins: reference/gpfq.ts, reference/gram.ts.
 *
 * Cost: N²K/2 for tril(G)·W (none where Xq = X and no scale is searched) and N²K/2 a candidate. When: GPFQ is the default.
 * It needs no inverse and no damping, and works with any H, also a singular one; a ridge (ridge.ts) is for few or very unequal
 * samples. MSQ is for comparison, or for use with passes.
 */
import type { Task } from '../engine/job.js'
import * as kernels from '../wasm/kernels.js'
import type { GramMethod, GramMethodKind, GramSystem } from './gramMethod.js'
import type { SolveRequest } from './solution.js'
import { stripOf } from './strip.js'

/** @param follow true for the path, false for rounding */
const kind = (follow: boolean): GramMethodKind => ({
  regions: (_, { panels, strip }, threads) => ({
    'path scratch': threads * kernels.substituteScratch(panels, strip),
  }),
  create(system): GramMethod {
    const { triangular, forks } = system.plan
    const scratch = system.regions.at('path scratch')
    const ownSearch = ({ search, scales }: SolveRequest): boolean =>
      forks && search !== 'none' && scales.blocks > 1
    const path = (request: SolveRequest, candidates: number, searching: boolean): Task =>
      substituteTask(system, request, candidates, {
        h: system.matrices.h,
        g: ownSearch(request) ? system.matrices.g : 0,
        r: system.r,
        s: searching ? system.s : 0,
        codes: searching ? 0 : system.columns.codes,
        errors: searching ? system.errors : 0,
        scratch,
        triangular,
        follow,
      })
    return {
      ownSearch,
      ...(forks && { scales: ({ shape, scales }) => system.columns.readScales(shape, scales.blocks) }),
      choose: (request, candidates) => [[path(request, candidates, false)]],
      score: (request, candidates) => path(request, candidates, true),
    }
  },
})

export const gpfq = kind(true)
/** Method msq over H and G: with passes, a search, or errors. Without them round.ts rounds. */
export const msq = kind(false)

type PathArguments = Parameters<typeof kernels.substitute>[0]

/** A task of the substitution kernel. GPTQ and Qronos take the same path through another matrix. */
export function substituteTask(
  { plan, columns }: GramSystem,
  request: SolveRequest,
  candidates: number,
  own: Pick<PathArguments, 'h' | 'g' | 'r' | 's' | 'codes' | 'errors' | 'scratch' | 'triangular' | 'follow'>,
): Task {
  return kernels.substitute({
    ...columns.of(request),
    ...own,
    candidates,
    strip: stripOf(candidates * kernels.panelsOf(request.shape.neurons), plan.panels),
  })
}
