import assert from 'node:assert/strict'
import { test } from 'node:test'
import { callOf, controlOf, element } from './igd.ts'

const LOCATION = new URL('http://192.168.7.1:5000/rootDesc.xml')
const SERVICE = 'urn:schemas-upnp-org:service:'
const described = (name: string, path: string) =>
  `<service><serviceType>${SERVICE}${name}</serviceType><controlURL>${path}</controlURL></service>`
const controlIn = (text: string) => controlOf(`<root>${text}</root>`, LOCATION)?.url.href

test('the control of the newest service is found, among others', () => {
  const text = [
    described('Layer3Forwarding:1', '/other'),
    described('WANIPConnection:1', '/one'),
    described('WANIPConnection:2', '/two'),
  ].join('')
  const control = controlOf(text, LOCATION)
  assert.equal(control?.url.href, 'http://192.168.7.1:5000/two')
  assert.equal(control?.service, `${SERVICE}WANIPConnection:2`)
})

test('each kind of connection is known, and each way to write an address', () => {
  for (const name of ['WANIPConnection:1', 'WANIPConnection:2', 'WANPPPConnection:1'])
    assert.equal(
      controlIn(described(name, '/ctl?a=1&amp;b=2')),
      'http://192.168.7.1:5000/ctl?a=1&b=2',
    )
  const base = '<URLBase>http://192.168.7.1:80/upnp/</URLBase>'
  const service = (path: string) => described('WANIPConnection:1', path)
  assert.equal(controlIn(base + service('ctl')), 'http://192.168.7.1/upnp/ctl')
  assert.equal(controlIn(service('http://192.168.7.1:99/ctl')), 'http://192.168.7.1:99/ctl')
})

test('a control elsewhere, or none, is none', () => {
  const service = (path: string) => described('WANIPConnection:1', path)
  for (const text of [
    '',
    '<service>',
    described('Layer3Forwarding:1', '/ctl'),
    service(''),
    service('http://192.168.7.2/ctl'),
    service('//192.168.7.2/ctl'),
    service('file:///ctl'),
    `<URLBase>http://192.168.7.2/</URLBase>${service('/ctl')}`,
  ])
    assert.equal(controlIn(text), undefined, text)
})

test('an element may have attributes and space; one with elements in it is not taken', () => {
  assert.equal(element('<a><b dt="string">\n 1 </b ></a>', 'b'), '1')
  assert.equal(element('<bb>1</bb><b><c>2</c></b>', 'b'), undefined)
})

test('hostile descriptions take no more time than long ones', () => {
  const startedAt = performance.now()
  for (const part of ['<service>', '<URLBase ', '<URLBase>', '<URLBase></URLBase ', '<'])
    controlOf(part.repeat(Math.ceil(131_072 / part.length)), LOCATION)
  controlOf(`<URLBase>${' '.repeat(131_072)}`, LOCATION)
  assert.ok(performance.now() - startedAt < 2_000)
})

test('a call names its service and gives its values', () => {
  const control = { url: LOCATION, service: `${SERVICE}WANIPConnection:1` }
  const text = callOf(control, 'DeletePortMapping', { NewExternalPort: 4242 })
  const call = `<u:DeletePortMapping xmlns:u="${control.service}"><NewExternalPort>4242</NewExternalPort>`
  assert.ok(text.includes(call), text)
})
