/** The built-in example, as files like those that a visitor chooses. */
import calibrationUrl from '../../demo-data/calibration.npz?url'
import modelUrl from '../../demo-data/digits.onnx?url'
import testUrl from '../../demo-data/test.npz?url'
import type { Preprocessing } from './job/protocol.ts'
import { DEFAULT_PREPROCESSING } from './pageSettings.ts'

export interface Example {
  readonly model: File
  readonly calibration: File
  readonly test: File
  readonly preprocessing: Preprocessing
}

export async function loadExample(): Promise<Example> {
  const [model, calibration, test] = await Promise.all([
    fileAt(modelUrl, 'digits.onnx'),
    fileAt(calibrationUrl, 'calibration.npz'),
    fileAt(testUrl, 'test.npz'),
  ])
  return { model, calibration, test, preprocessing: { ...DEFAULT_PREPROCESSING, scale: 255 } }
}

async function fileAt(url: string, name: string): Promise<File> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}.`)
  return new File([await response.blob()], name)
}
