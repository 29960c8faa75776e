import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ascii } from '../../core/wire/bytes.ts'
import { readAnswer } from './ssdp.ts'

const TARGET = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'
const lines = (...all: string[]) => ascii(`${all.join('\r\n')}\r\n\r\n`)
const read = (data: Uint8Array) => readAnswer(data, '192.168.7.1')?.href

test('a gateway tells of its own description', () => {
  const location = 'http://192.168.7.1:5000/rootDesc.xml'
  assert.equal(read(lines('HTTP/1.1 200 OK', `ST: ${TARGET}`, `LOCATION: ${location}`)), location)
  assert.equal(read(lines('HTTP/1.0 200 OK', `location:${location}`, `st:  ${TARGET}`)), location)
})

test('nobody makes us ask a third party, or in another way', () => {
  for (const location of [
    'http://192.168.7.2:5000/rootDesc.xml',
    'http://192.168.7.1.example/',
    'http://192.168.7.1@192.168.7.2/',
    'https://192.168.7.1/',
    'file:///etc/passwd',
    'rootDesc.xml',
    '',
  ]) {
    const answer = lines('HTTP/1.1 200 OK', `ST: ${TARGET}`, `LOCATION: ${location}`)
    assert.equal(read(answer), undefined, location)
  }
})

test('what answers no search is ignored', () => {
  const location = 'LOCATION: http://192.168.7.1/'
  for (const data of [
    new Uint8Array(),
    lines('NOTIFY * HTTP/1.1', `NT: ${TARGET}`, location),
    lines('HTTP/1.1 404 Not Found', `ST: ${TARGET}`, location),
    lines('HTTP/1.1 200 OK', location),
    lines('HTTP/1.1 200 OK', 'ST: urn:schemas-upnp-org:device:MediaServer:1', location),
    lines('HTTP/1.1 200 OK', `ST: ${TARGET}`, location, 'x'.repeat(4_000)),
  ])
    assert.equal(read(data), undefined)
})
