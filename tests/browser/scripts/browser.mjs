// A browser that notices what no page may do: ask another host, run what it should not, break its own policy.
import { createRequire } from 'node:module'
import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'

const modules = process.env.WHARF_MODULES
const require = createRequire(path.join(modules, 'scripts.js'))
const { chromium } = require('playwright-core')

/// The registry.
export const url = process.env.WHARF_URL

const wrong = []

/// Notes that something is not as it should be.
export const fail = (text) => {
  wrong.push(text)
}

/// Notes that `got` is not what it should be.
export const is = (what, got, wanted) => {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    fail(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`)
  }
}

export const holds = (what, condition) => {
  if (!condition) fail(what)
}

/// Runs `work` with a browser, and ends the process with what was found.
export const browse = async (work) => {
  const browser = await chromium.launch({
    executablePath: process.env.WHARF_CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
  })
  try {
    await work(browser)
  } catch (error) {
    fail(error.stack)
  } finally {
    await browser.close()
  }
  for (const text of wrong) console.log(text)
  process.exit(wrong.length ? 1 : 0)
}

/// A session of the browser that notices what no page may do. `requests` has what was asked for; `expected` are parts of errors that
/// are none, and `host` is what may be asked.
export const session = async (browser, options = {}) => {
  const { expected = [], host = url, ...rest } = options
  const context = await browser.newContext(rest)
  const requests = []
  context.on('request', (request) => {
    requests.push(request)
    const asked = new URL(request.url())
    if (asked.origin !== host) fail(`${request.frame()?.url()} asks ${asked.href}`)
  })
  context.on('page', (page) => {
    page.setDefaultTimeout(15_000)
    page.on('pageerror', (error) => fail(`${page.url()}: ${error}`))
    page.on('dialog', (dialog) => {
      fail(`${page.url()}: a dialog: ${dialog.message()}`)
      dialog.dismiss()
    })
    page.on('console', (message) => {
      const text = message.text()
      if (message.type() === 'error' && !expected.some((part) => text.includes(part))) fail(`${page.url()}: ${text}`)
    })
  })
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`)
    })
  })
  return { context, page: await context.newPage(), requests }
}

/// Signs in by the form.
export const signIn = async (page, name, password = 'pw') => {
  await page.goto(`${url}/ui/sign-in`)
  await page.locator('input[name=name]').fill(name)
  await page.locator('input[name=password]').fill(password)
  await Promise.all([page.waitForNavigation(), page.locator('main form button.first').click()])
}

/// Shows a page, which has to be there.
export const open = async (page, target, status = 200, host = url) => {
  const answer = await page.goto(`${host}/ui${target}`)
  is(`the status of ${target}`, answer.status(), status)
  return answer
}

/// The most that a page may move while it is loaded, in the measure of browsers: parts of the screen that move, times how far.
const STEADY = 0.01

/// Looks for what moved after it was first seen, other than by an act of the visitor.
export const steady = async (page, where) => {
  const moves = await page.evaluate(async () => {
    // A frame is measured when it has been painted.
    for (let frame = 0; frame < 2; frame += 1) await new Promise((resume) => requestAnimationFrame(resume))
    const observer = new PerformanceObserver(() => {})
    observer.observe({ type: 'layout-shift', buffered: true })
    const rect = ({ x, y, width, height }) => `${x},${y} ${width}x${height}`
    const text = (node) => (node?.outerHTML ?? node?.textContent ?? 'what is gone').slice(0, 120)
    const source = ({ node, previousRect, currentRect }) => `${text(node)}: ${rect(previousRect)} to ${rect(currentRect)}`
    const entries = observer.takeRecords().filter(({ hadRecentInput }) => !hadRecentInput)
    return entries.map(({ value, sources }) => ({ value, sources: sources.map(source) }))
  })
  const sum = moves.reduce((sum, { value }) => sum + value, 0)
  if (sum >= STEADY) fail(`${where}: moves by ${sum.toFixed(3)}: ${moves.flatMap(({ sources }) => sources).join(' | ')}`)
}

/// Takes a picture of a whole page.
export const picture = async (page, ...names) => {
  const file = path.join(process.env.WHARF_SHOTS, ...names)
  await mkdir(path.dirname(file), { recursive: true })
  await page.screenshot({ path: `${file}.png`, fullPage: true })
}

let axe

/// Looks for what keeps people out of a page.
export const barriers = async (page, where) => {
  axe ??= await readFile(require.resolve('axe-core/axe.min.js'), 'utf8')
  await page.evaluate(axe)
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] })
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`)
  })
  for (const text of found) fail(`${where}: ${text}`)
}

/// Waits until `condition` holds; when it does not, `state` says what there is instead.
export const until = async (what, condition, state = () => '') => {
  const end = Date.now() + 30_000
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited in vain until ${what} ${state()}`)
    await new Promise((resume) => setTimeout(resume, 100))
  }
}
