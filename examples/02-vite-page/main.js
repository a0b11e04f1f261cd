// A form, a model, a download. Nothing is uploaded: all of it runs here.
import { loadFeeds } from 'gpfq/data'
import { createOrtWebRunner, openModel, quantizeModel } from 'gpfq/onnx'

const form = document.querySelector('form')
const progress = document.querySelector('progress')
const output = document.querySelector('output')

/** @param {File} file */
const source = (file) => ({
  name: file.name,
  files: [{ name: file.name, bytes: async () => new Uint8Array(await file.arrayBuffer()) }],
})

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const { model, data, scale } = Object.fromEntries(new FormData(form))
  try {
    const opened = await openModel(new Uint8Array(await model.arrayBuffer()))
    const result = await quantizeModel(opened, {
      calibration: await loadFeeds([source(data)], opened.inputs, { samples: 256, scale: Number(scale) }),
      runner: await createOrtWebRunner(),
      onProgress(step) {
        if (step.type === 'progress') progress.value = step.fraction
      },
    })
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob([result.model]))
    link.download = model.name.replace('.onnx', '-4bit.onnx')
    link.textContent = `${link.download}: ${result.report.bytesIn} → ${result.report.bytesOut} bytes`
    output.replaceChildren(link)
  } catch (error) {
    output.textContent = error.message
  }
})
