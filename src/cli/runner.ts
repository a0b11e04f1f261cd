/** Which build of ONNX Runtime runs the models of `gpfq compare` and `gpfq eval`. */
import { type Command, Option } from 'commander'
import { createOrtNodeRunner, createOrtWebRunner, createRunner } from '../calibration/onnxRuntime.js'
import type { Runner } from '../calibration/runner.js'

/** native: onnxruntime-node; web: onnxruntime-web. */
export type RunnerName = 'native' | 'web'

export interface RunnerChoice {
  /** Default: native where it is installed. */
  readonly runner?: RunnerName | undefined
  readonly threads: number
}

export function addRunnerOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--runner <name>',
      'the build of ONNX Runtime: native (onnxruntime-node) or web (default: native if it is installed)',
    ).choices(['native', 'web'] satisfies RunnerName[]),
  )
}

/** @throws GpfqError RUNTIME_MISSING if the package is not installed */
export function openRunner({ runner, threads }: RunnerChoice): Promise<Runner> {
  if (runner === 'native') return createOrtNodeRunner({ threads })
  return runner === 'web' ? createOrtWebRunner({ threads }) : createRunner({ threads })
}
