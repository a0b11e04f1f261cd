/** Line plots as self-contained SVG, panels side by side, drawn by ECharts without a page. */

import { LineChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components'
import { type EChartsCoreOption, init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])

export interface Axis {
  readonly name: string
  /** With `category` the x of points are labels, in the order of the first series. */
  readonly type: 'value' | 'log' | 'category'
  readonly logBase?: number
  readonly min?: number
  readonly max?: number
}

export interface Panel {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly series: readonly {
    readonly name: string
    /** Series of one colour are a pair; the second is dashed. */
    readonly color: number
    readonly dashed?: boolean
    readonly points: readonly (readonly [x: number | string, y: number])[]
  }[]
}

const WIDTH = 480
const HEIGHT = 420

/** Colours that people with colour blindness can distinguish (Okabe and Ito). */
const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'] as const

/** @returns an SVG document, 480 × 420 pixels a panel */
export function linePlot(panels: readonly Panel[]): string {
  const chart = init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: WIDTH * panels.length,
    height: HEIGHT,
  })
  const axis = ({ name, type, logBase, min, max }: Axis, gridIndex: number, gap: number) => ({
    ...{ gridIndex, name, type, logBase, min, max },
    scale: true,
    nameLocation: 'middle',
    nameGap: gap,
    nameTextStyle: { color: '#333', fontSize: 12 },
    axisLabel: { color: '#333', fontSize: 11, hideOverlap: true },
    axisLine: { show: true, lineStyle: { color: '#333' } },
    splitLine: { lineStyle: { color: '#e5e5e5' } },
  })
  const option: EChartsCoreOption = {
    animation: false,
    backgroundColor: '#ffffff',
    title: panels.map(({ title }, i) => ({
      text: title,
      left: i * WIDTH + 72,
      top: 8,
      textStyle: { fontSize: 14, fontWeight: 'normal', color: '#111' },
    })),
    legend: {
      bottom: 4,
      // Without a page ECharts estimates the width of a text, and its estimate is too low.
      itemGap: 32,
      data: [...new Set(panels.flatMap(({ series }) => series.map(({ name }) => name)))],
      textStyle: { color: '#333', fontSize: 12 },
    },
    grid: panels.map((_, i) => ({ left: i * WIDTH + 72, top: 44, width: WIDTH - 92, height: HEIGHT - 150 })),
    xAxis: panels.map(({ x }, i) => axis(x, i, 30)),
    yAxis: panels.map(({ y }, i) => axis(y, i, 50)),
    series: panels.flatMap(({ series }, i) =>
      series.map(({ name, color, dashed = false, points }) => ({
        ...{ name, type: 'line', xAxisIndex: i, yAxisIndex: i, data: points },
        symbol: dashed ? 'emptyCircle' : 'circle',
        symbolSize: 5,
        lineStyle: { width: 2, type: dashed ? 'dashed' : 'solid' },
        color: COLORS[color % COLORS.length],
      })),
    ),
  }
  chart.setOption(option)
  const svg = chart.renderToSVGString()
  chart.dispose()
  return `${svg}\n`
}
