// POST a layer, get its codes back. Edge runtimes compile no WebAssembly at run time: the package's "workerd" condition
// imports the kernels as a module. There are no workers either, so it runs on this thread, in small pieces.
import { createQuantizer, GpfqError } from 'gpfq'

export default {
  /** Body: int32 inputs, int32 neurons, then float32 weights (inputs, neurons) and samples (rows, inputs). */
  async fetch(request) {
    if (request.method !== 'POST') return new Response('POST a layer\n', { status: 405 })
    const body = await request.arrayBuffer()
    const [inputs, neurons] = new Int32Array(body, 0, 2)
    const quantizer = await createQuantizer()
    try {
      const values = new Float32Array(body, 8)
      const { codes, scales, zero, relativeError } = await quantizer.quantizeLayer({
        weights: values.subarray(0, inputs * neurons),
        inputs,
        neurons,
        samples: values.subarray(inputs * neurons),
      })
      return Response.json({ codes: [...codes], scales: [...scales], zero, relativeError })
    } catch (error) {
      const ours = error instanceof RangeError || error instanceof TypeError || error instanceof GpfqError
      return Response.json({ error: error.message }, { status: ours ? 400 : 500 })
    } finally {
      await quantizer.close()
    }
  },
}
