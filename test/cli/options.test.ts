import { describe, expect, it } from 'vitest'
import { checkSettings } from '#src/cli/options.js'
import { UsageError } from '#src/cli/usage.js'
import { collectBitsFor, collectNumbers, parseRadius, parseScalePer } from '#src/cli/values.js'
import { describeSetting } from '#src/report/describeSetting.js'

describe('options', () => {
  it('parse radii', () => {
    expect(parseRadius('max')).toEqual({ rule: 'max' })
    expect(parseRadius('median:3')).toEqual({ rule: 'median', factor: 3 })
    expect(parseRadius('mean-max:1.16')).toEqual({ rule: 'mean-max', factor: 1.16 })
    expect(parseRadius('search')).toEqual({ rule: 'search' })
    expect(parseRadius('0.25')).toEqual({ rule: 'value', value: 0.25 })
    for (const text of ['', 'median:', 'median:0', 'mean-max:x', '0', 'Infinity', 'min'])
      expect(() => parseRadius(text), text).toThrow(/Expected/)
  })

  it('parse scopes of scales', () => {
    expect(['layer', 'neuron', 'group:32'].map(parseScalePer)).toEqual(['layer', 'neuron', { group: 32 }])
    for (const text of ['group', 'group:', 'group:0', 'group:1.5', 'channel'])
      expect(() => parseScalePer(text), text).toThrow(/group:SIZE/)
  })

  it('collect bits for globs, which may have equals signs', () => {
    expect(collectBitsFor('b=c*=2', collectBitsFor('conv1*=8'))).toEqual([
      { pattern: 'conv1*', levels: 255 },
      { pattern: 'b=c*', levels: 3 },
    ])
    for (const text of ['conv1', '=4', 'conv1=', 'conv1=9'])
      expect(() => collectBitsFor(text), text).toThrow(/Expected/)
  })

  it('collect numbers with commas, spaces or one by one', () => {
    expect(collectNumbers('.485, .456,0.406')).toEqual([0.485, 0.456, 0.406])
    expect(collectNumbers('2', collectNumbers('1'))).toEqual([1, 2])
    expect(collectNumbers('-1')).toEqual([-1])
    expect(() => collectNumbers(',')).toThrow(/Expected numbers/)
  })

  it('describe settings as they are typed', () => {
    expect(describeSetting(parseRadius('median:3'))).toBe('median:3')
    expect(describeSetting(parseRadius('0.5'))).toBe('0.5')
    expect(describeSetting({ group: 32 })).toBe('group:32')
    expect(describeSetting([{ pattern: 'a*', levels: 3 }])).toBe('a*=3 levels')
    expect(describeSetting([])).toBe('none')
  })

  it('that the library refuses go by their names on the command line', () => {
    const check: (options: Parameters<typeof checkSettings>[0]) => void = (options) => checkSettings(options)
    for (const [options, text] of [
      [{ alignment: 2 }, '--alignment: expected a method that has it (spfq), got gpfq; leave it out'],
      [{ randomPatches: 2 }, '--random-patches: expected a share above 0 and up to 1, got 2'],
      [
        { levelsFor: [{ pattern: 'a*', levels: 1 }] },
        "--bits-for 'a*': expected an integer from 2 to 256, got 1",
      ],
      [
        { radius: { rule: 'value', value: 0 } },
        '--radius value: expected a finite number above 2⁻¹⁰⁰, got 0',
      ],
    ] as const) {
      expect(() => check(options)).toThrow(UsageError)
      expect(() => check(options)).toThrow(text)
    }
  })
})
