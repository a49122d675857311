// Images are browsed and deleted, as an operator does it with a pointer.
import { browse, fail, holds, is, open, session, signIn, until, url } from './browser.mjs'

const visible = (page, selector) =>
  page.locator(selector).evaluateAll((rows) => rows.filter((row) => !row.hidden && row.offsetParent).map((row) => row.dataset.text))

await browse(async (browser) => {
  const { page, requests } = await session(browser)
  await signIn(page, 'alice')
  is('the first page', new URL(page.url()).pathname, '/ui/')

  const leaves = '#repositories [data-text]'
  is('the repositories', (await visible(page, leaves)).length, 7)
  holds('a tree', (await page.locator('#repositories details summary').count()) >= 3)
  await page.locator('.tools input[type=search]').fill('gre')
  await until('the tree is filtered', async () => (await visible(page, leaves)).length === 2)
  is('what is left', await visible(page, leaves), ['greet-go', 'greet-python'])
  await Promise.all([page.waitForNavigation(), page.locator(`${leaves}[data-text=greet-python] a`).click()])

  const rows = '#tags tbody tr'
  is('the tags of a page', await page.locator(rows).count(), 100)
  const first = page.locator(rows).first()
  const row = await first.innerText()
  holds(`a size in ${row}`, /\d\s(B|KiB)/.test(row))
  holds(`a platform in ${row}`, row.includes('amd64'))
  holds('a time', (await first.locator('time[datetime]').count()) > 0)
  holds('a digest', (await first.innerText()).includes('sha256:'))
  holds('a command to copy', (await first.locator('button[data-copy]').count()) > 0)
  requests.length = 0
  await Promise.all([page.waitForNavigation(), page.locator('.pages a[href*=cursor]').first().click()])
  is('the tags of the second page', await page.locator(rows).count(), 50)
  const documents = requests.filter((request) => request.resourceType() === 'document')
  is('requests for the second page', documents.length, 1)

  await open(page, '/image/team/app:multi')
  holds('each platform', (await page.locator('main').innerText()).includes('linux/arm64'))
  await open(page, '/image/team/app:latest')
  const dockerfile = await page.locator('main').innerText()
  holds('the layers', /sha256:/.test(dockerfile))
  await open(page, '/history/team/app:latest')
  is('the history', await page.locator('main tbody tr').count(), 3)

  await open(page, '/repo/greet-python')
  const wanted = ['1.3', '1.42', '1.77']
  for (const tag of wanted) {
    await page.goto(`${url}/ui/repo/greet-python?match=${tag}`)
    holds(`there is ${tag}`, (await page.locator(`input[name=tag][value="${tag}"]`).count()) === 1)
  }
  const query = wanted.map((tag) => `tag=${tag}`).join('&')
  await open(page, `/delete/greet-python?${query}`)
  const plan = await page.locator('main').innerText()
  for (const tag of wanted) holds(`the plan names ${tag}`, plan.includes(tag))
  holds(`bytes in ${plan}`, /\d\s(B|KiB)/.test(plan))
  await Promise.all([page.waitForNavigation(), page.locator('main form button.danger').click()])
  const tags = async (name) => {
    const answer = await page.request.get(`${url}/v2/${name}/tags/list?n=1000`, {
      headers: { authorization: `Basic ${Buffer.from('alice:pw').toString('base64')}` },
    })
    return (await answer.json()).tags ?? []
  }
  const left = await tags('greet-python')
  is('tags that are left', left.length, 147)
  holds('only these vanished', !wanted.some((tag) => left.includes(tag)))

  await open(page, '/delete/greet-go?everything=1')
  await page.locator('input[name=confirm]').fill('greet-go')
  await page.locator('input[name=now]').check()
  await Promise.all([page.waitForNavigation(), page.locator('main form button.danger').click()])
  is('the repository is gone', await tags('greet-go'), [])
  await open(page, '/')
  is('repositories that are left', (await visible(page, leaves)).length, 6)

  await open(page, '/trash')
  holds('the trash has the deletion of tags', (await page.locator('main').innerText()).includes('greet-python'))
  await open(page, '/collection')
  await Promise.all([page.waitForNavigation(), page.locator('form[action$="/collection"] button').click()])
  // The last collection may be the server's own, of its start, for a moment.
  let last = ''
  await until('the collection has ended and freed bytes', async () => {
    await open(page, '/collection')
    const ended = page.locator('section[aria-labelledby=last]')
    last = (await ended.count()) ? await ended.innerText() : ''
    return /\d\sKiB/.test(last)
  }, () => last)

  const bob = await session(browser, { expected: ['403'] })
  await signIn(bob.page, 'bob')
  await open(bob.page, '/repo/team/app')
  is('boxes of a user that only pulls', await bob.page.locator('input[type=checkbox][name=tag]').count(), 0)
  is('buttons of a user that only pulls', await bob.page.locator('main .danger').count(), 0)
  await open(bob.page, '/delete/team/app?tag=1.0', 403)
  const refused = await bob.page.request.post(`${url}/api/v1/plans?repository=team/app`, {
    headers: { authorization: `Basic ${Buffer.from('bob:pw').toString('base64')}`, 'content-type': 'application/json' },
    data: '{"everything":true}',
  })
  is('the API refuses as well', refused.status(), 403)
  const cookies = await bob.context.cookies()
  const own = cookies.find((cookie) => cookie.name.includes('wharf') && cookie.httpOnly)
  holds('the session is a cookie that no script reads', own && own.sameSite === 'Lax')
  // A cookie is no credential for images.
  const pulled = await bob.context.request.get(`${url}/v2/team/app/tags/list`)
  is('a cookie pulls nothing', pulled.status(), 401)
  if (!own) fail(JSON.stringify(cookies))
})
