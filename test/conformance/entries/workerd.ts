/** Entry for workerd: answers a request with the result. ONNX Runtime may not compile here, so activations are recorded ones. */

import model from 'digits.onnx'
import images from 'images.bin'
import data from 'recording.bin'
import notes from 'recording.json'
import { type Recording, replayingRunner } from '../recording.js'
import { runSuite } from '../suite.js'

export default {
  async fetch(): Promise<Response> {
    try {
      const subject = {
        model: new Uint8Array(model),
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
