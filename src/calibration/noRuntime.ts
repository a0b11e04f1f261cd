/** Stands where onnxruntime-web would be in edge runtimes, whose rule is that no code is compiled at run time. */
throw new Error(
  'an edge runtime, which lets ONNX Runtime compile nothing: give quantizeModel a runner of your own',
)
