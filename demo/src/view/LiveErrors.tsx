/**
 * The errors of the layers during a run, drawn by uPlot, which is loaded once a model is chosen. A long network takes a
 * while, and the first errors show whether it is worth waiting for. The table above has the same numbers as text.
 */
import type { ModelPlan } from 'gpfq/onnx'
import { useEffect, useRef } from 'preact/hooks'
import type uPlot from 'uplot'
import type { RunState } from '../session.ts'

const HEIGHT = 220

export function LiveErrors({ run, plan }: { readonly run: RunState; readonly plan: ModelPlan | null }) {
  const place = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | null>(null)
  const names = plan?.layers.map(({ name }) => name) ?? []
  const data = dataOf(names, run)
  const latest = useRef({ data, names })
  latest.current = { data, names }

  useEffect(() => {
    let gone = false
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) chart.current?.setSize({ width: entry.contentRect.width, height: HEIGHT })
    })
    void (async () => {
      const UPlot = await loadChart()
      if (gone || place.current === null) return
      const options = optionsFor(place.current.clientWidth, (index) => latest.current.names[index] ?? '')
      chart.current = new UPlot(options, latest.current.data, place.current)
      observer.observe(place.current)
    })()
    return () => {
      gone = true
      observer.disconnect()
      chart.current?.destroy()
      chart.current = null
    }
  }, [])

  useEffect(() => chart.current?.setData(data), [run.own, run.rounded])

  return <div ref={place} class="live" aria-hidden="true" />
}

/** Loads uPlot. Called before a run, which needs the processor for itself. */
export async function loadChart(): Promise<typeof uPlot> {
  const [{ default: UPlot }] = await Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')])
  return UPlot
}

function dataOf(names: readonly string[], { own, rounded }: RunState): uPlot.AlignedData {
  const errors = (of: RunState['own']) =>
    names.map((name) => {
      const error = of.get(name)?.relativeError ?? null
      return error === null || error === 0 ? null : 100 * error
    })
  return [names.map((_, i) => i), errors(own), errors(rounded)]
}

/** Options of the chart. Colours come from the style of the page, which has a light and a dark scheme. */
function optionsFor(width: number, nameOf: (index: number) => string): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--hairline'), width: 1 },
    ticks: { show: false },
  }
  const percent = (value: number | null) => (value === null ? '–' : `${Number(value.toPrecision(3))} %`)
  const series = (label: string, variable: string): uPlot.Series => ({
    label,
    stroke: colour(variable),
    width: 2,
    points: { show: true, size: 7, fill: colour(variable) },
    value: (_, value) => percent(value),
  })
  return {
    width,
    height: HEIGHT,
    scales: { x: { time: false }, y: { distr: 3 } },
    axes: [
      {
        ...axis,
        incrs: [1, 2, 5, 10, 20, 50, 100],
        values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? String(tick + 1) : '')),
        label: 'layer',
        labelSize: 20,
      },
      { ...axis, values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : percent(tick))), size: 64 },
    ],
    series: [
      { label: 'Layer', value: (_, index) => (index === null ? '–' : nameOf(index)) },
      series('Error', '--own'),
      series('Rounded', '--other'),
    ],
  }
}
