/**
 * The style of the pictures, light and dark. Blue is the chosen method, orange is plain rounding, and grey is the float
 * model, in all pictures. Colour-blind readers can distinguish this blue from this orange.
 */

/** Colours as custom properties. */
export const PALETTE = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --quiet: #57606a; --hairline: #e3e6ea; --panel: #f6f7f9;
  --own: #1f5fd0; --other: #b35309; --before: #c3c9d1; --warn-paper: #fff6e5; --warn-ink: #6b4200;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e7eaee; --quiet: #a3acb7; --hairline: #2c3239; --panel: #1c2127;
    --own: #7db0ff; --other: #f0a860; --before: #535c67; --warn-paper: #33270f; --warn-ink: #f2d8a4;
  }
}
`

/** CSS of the pictures, for any page that shows them. */
export const PICTURE_STYLE = `
.rows { border-collapse: collapse; width: 100%; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
.rows th, .rows td { padding: 0 0.75rem 0 0; text-align: left; font-weight: 400; vertical-align: middle; }
.rows thead th { color: var(--quiet); padding-bottom: 0.25rem; }
.rows thead td { vertical-align: bottom; }
.rows tbody th { max-width: 18rem; overflow-wrap: anywhere; padding-block: 0.15rem; line-height: 1.3; }
.rows .number { text-align: right; white-space: nowrap; width: 1%; }
.rows .drawing { width: 55%; min-width: 8rem; padding: 0; }
.rows svg, .weights svg { display: block; overflow: visible; }
.number.own { color: var(--own); } .number.other { color: var(--other); }
.rows tbody tr + tr > * { border-top: 1px solid var(--hairline); }
svg text { fill: var(--quiet); font: 0.75rem/1 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--hairline); stroke-width: 1; }
svg .base { stroke: var(--quiet); stroke-width: 1; }
svg .span { stroke: var(--before); stroke-width: 2; }
svg .own { fill: var(--own); } svg .other { fill: var(--other); } svg .before { fill: var(--before); }
svg .stick { stroke: var(--own); stroke-width: 1.5; }
.weights { margin: 0; }
.weights figcaption, .quiet { color: var(--quiet); font-size: 0.875rem; line-height: 1.5; }
.weights figcaption { margin-top: 0.5rem; }
.key { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 2px; margin-right: 0.45em; }
.weights figcaption p { margin: 0; padding-left: 1.15em; text-indent: -1.15em; }
.key.own { background: var(--own); } .key.other { background: var(--other); } .key.before { background: var(--before); }
.answers { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.75rem; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
.answers li { border: 1px solid var(--hairline); border-radius: 8px; padding: 0.75rem; }
.answers li.differs { border-color: var(--other); }
.answers img { display: block; image-rendering: pixelated; border-radius: 4px; margin-bottom: 0.5rem; background: var(--panel); object-fit: contain; }
.answers dl { display: grid; grid-template-columns: auto 1fr; gap: 0.1rem 0.6rem; margin: 0; font-size: 0.875rem; }
.answers dt { color: var(--quiet); } .answers dd { margin: 0; white-space: nowrap; }
.answers small { color: var(--quiet); }
.answers .name { margin: 0 0 0.4rem; font-size: 0.875rem; }
.answers .verdict { margin: 0.4rem 0 0; color: var(--other); font-size: 0.875rem; }
@media (max-width: 36rem) {
  .rows, .rows tbody, .rows thead { display: block; }
  .rows tr { display: flex; flex-wrap: wrap; align-items: baseline; column-gap: 0.75rem; }
  .rows tbody tr { padding-block: 0.35rem; }
  .rows tbody tr + tr { border-top: 1px solid var(--hairline); }
  .rows tbody tr + tr > * { border-top: 0; }
  .rows tr > th:first-child { flex: 1 1 40%; min-width: 0; }
  .rows .number { width: auto; padding-right: 0; min-width: 3.75rem; }
  .rows .drawing { flex: 1 0 100%; }
}
`

/** CSS of the report page itself. */
export const PAGE_STYLE = `
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.75rem 0 0.25rem; }
p { margin: 0.4rem 0 1rem; max-width: 44rem; }
.tiles { display: grid; gap: 1.25rem 2rem; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); margin: 1.75rem 0 0; padding: 1.25rem 0; border-block: 1px solid var(--hairline); }
.tiles dt { color: var(--quiet); font-size: 0.875rem; }
.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.3; }
.tiles small { display: block; color: var(--quiet); font-size: 0.8125rem; font-weight: 400; }
details { border-top: 1px solid var(--hairline); padding: 0.55rem 0; }
details:last-of-type { border-bottom: 1px solid var(--hairline); }
summary { cursor: pointer; overflow-wrap: anywhere; }
summary small { color: var(--quiet); margin-left: 0.5rem; }
details > figure { margin-top: 1rem; }
.facts { display: grid; grid-template-columns: minmax(8rem, auto) 1fr; gap: 0.2rem 1.25rem; font-size: 0.875rem; margin: 0.75rem 0; }
.facts dt { color: var(--quiet); } .facts dd { margin: 0; overflow-wrap: anywhere; }
ul.plain { padding-left: 1.1rem; font-size: 0.875rem; }
footer { margin-top: 3rem; }
`
