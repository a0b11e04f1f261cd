import { quantizeAll } from './quantizeAll.js'

try {
  const response = await fetch('digits.onnx')
  const result = await quantizeAll(new Uint8Array(await response.arrayBuffer()))
  document.body.textContent = JSON.stringify(result)
} catch (error) {
  document.body.textContent = JSON.stringify({ error: `${error.message}\n${error.stack}` })
}
