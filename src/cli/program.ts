/** The program `gpfq`: its commands and its help. */
import { Command } from 'commander'
import { VERSION } from '../version.js'
import type { CommandContext } from './command.js'
import { addCompareCommand } from './compare.js'
import { addDemoCommand } from './demo.js'
import { addEvalCommand } from './eval.js'
import { addInspectCommand } from './inspect.js'
import { addLayerCommand } from './layer.js'
import { addQuantizeCommand } from './quantize.js'
import { printable } from './terminal.js'
import { addWorkerCommand } from './worker.js'

const EXAMPLES = `Examples:
  gpfq demo
  gpfq inspect model.onnx
  gpfq quantize model.onnx --calib images.npy.gz --scale 255 --bits 4 -o model-4bit.onnx
  gpfq eval model-4bit.onnx --data test.npy.gz --labels labels.npy --scale 255
  gpfq compare model.onnx model-4bit.onnx --data test.npy.gz --scale 255
`

/** Creates the program. It parses and runs; a refused command line is a CommanderError and does not exit the process. */
export function createProgram(context: CommandContext): Command {
  const program = new Command('gpfq')
    .description(
      'Quantizes the weights of trained ONNX networks by greedy path following (GPFQ), without retraining.',
    )
    .version(VERSION, '-v, --version')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.split('\n').map(printable).join('\n')) })
    .showHelpAfterError('(add --help for what is possible)')
    .addHelpText('before', EXAMPLES)
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 called wrongly, 130 interrupted (129 and 143 by SIGHUP and SIGTERM). Nothing leaves this machine, --queue aside.',
    )
  addQuantizeCommand(program, context)
  addEvalCommand(program, context)
  addCompareCommand(program, context)
  addInspectCommand(program, context)
  addLayerCommand(program, context)
  addWorkerCommand(program, context)
  addDemoCommand(program, context)
  return program
}
