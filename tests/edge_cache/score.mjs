// Judge the results of a run with the suite's own rules.
//
// Place:  tests/edge_cache/suite.py -> node score.mjs SUITE RESULTS -> JSON on stdout
// Rule:   nothing is decided here; kinds, dependencies and verdicts are the suite's.
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [folder, results] = process.argv.slice(2)
const load = path => import(pathToFileURL(`${folder}/${path}`))
const { default: suites } = await load('tests/index.mjs')
const { determineTestResult, resultTypes } = await load('test-engine/lib/results.mjs')
const found = JSON.parse(readFileSync(results, 'utf8'))
const names = new Map(Object.entries(resultTypes).map(([name, type]) => [type, name]))
const verdicts = []
for (const suite of suites) {
  for (const test of suite.tests) {
    if (test.browser_only === true) continue
    const verdict = names.get(determineTestResult(suites, test.id, found))
    const why = Array.isArray(found[test.id]) ? found[test.id][1] : ''
    verdicts.push({ suite: suite.id, id: test.id, kind: test.kind ?? 'required', verdict, why })
  }
}
console.log(JSON.stringify(verdicts))
