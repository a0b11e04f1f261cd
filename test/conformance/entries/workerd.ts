/** Entry for workerd: answers a request with the result. ONNX Runtime may not compile here, so activations are recorded ones. */

import attention from 'attention.onnx'
import digits from 'digits.onnx'
import images from 'images.bin'
import data from 'recording.bin'
import notes from 'recording.json'
import residual from 'residual.onnx'
import { type Recording, replayingRunner } from '../recording.js'
import { runSuite } from '../suite.js'

export default {
  async fetch(): Promise<Response> {
    try {
      const subject = {
        models: {
          digits: new Uint8Array(digits),
          residual: new Uint8Array(residual),
          attention: new Uint8Array(attention),
        },
        images: new Uint8Array(images),
        runner: replayingRunner(notes as Recording, data),
      }
      return Response.json(await runSuite(subject, 1))
    } catch (error) {
      return Response.json({
        error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error),
      })
    }
  },
}
