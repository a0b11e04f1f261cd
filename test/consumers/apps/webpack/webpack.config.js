const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

export default {
  entry: './main.js',
  output: { filename: 'bundle.js', clean: true },
  devServer: { headers, static: ['.', 'public'], client: { overlay: false } },
  performance: { hints: false },
}
