/**
 * The texts of UPnP's Internet gateways: where in a description their control is, what they are asked
 * and what they answer (WANIPConnection:1 and :2, WANPPPConnection:1). Reads what is wanted out of
 * XML without understanding the rest; takes time in proportion to the text, whatever it says.
 */
export interface Control {
  readonly url: URL
  readonly service: string
}

/** UPnP's `errorCode`s of AddPortMapping (WANIPConnection:1 §2.4.16). */
export const CONFLICT_IN_MAPPING = '718'
export const ONLY_PERMANENT_LEASES = '725'

const SERVICES = [
  'urn:schemas-upnp-org:service:WANIPConnection:2',
  'urn:schemas-upnp-org:service:WANIPConnection:1',
  'urn:schemas-upnp-org:service:WANPPPConnection:1',
]

/** The control of a gateway whose description was at `location`, on whose host it must be too. */
export function controlOf(description: string, location: URL): Control | undefined {
  const services = description
    .split('<service>')
    .slice(1)
    .map((text) => text.split('</service>', 1)[0] ?? '')
  const base = element(description, 'URLBase') ?? ''
  for (const wanted of SERVICES) {
    const service = services.find((text) => element(text, 'serviceType') === wanted)
    const path = service === undefined ? undefined : element(service, 'controlURL')
    const from = URL.canParse(base) ? base : location.href
    if (path === undefined || path === '' || !URL.canParse(path, from)) continue
    const url = new URL(path, from)
    if (url.protocol === 'http:' && url.hostname === location.hostname)
      return { url, service: wanted }
  }
  return undefined
}

/** The content of the first element of that name that has no elements in it. */
export function element(xml: string, name: string): string | undefined {
  const found = new RegExp(`<${name}(?:\\s[^<>]*)?>([^<]*)</${name}\\s*>`).exec(xml)
  return found?.[1]?.trim().replaceAll('&amp;', '&')
}

/** The envelope of a call. The values are ours, and need no escapes. */
export function callOf(
  { service }: Control,
  action: string,
  values: Readonly<Record<string, string | number>>,
): string {
  const given = Object.entries(values).map(([name, value]) => `<${name}>${value}</${name}>`)
  return [
    '<?xml version="1.0"?>',
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"',
    ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">',
    `<s:Body><u:${action} xmlns:u="${service}">${given.join('')}</u:${action}></s:Body>`,
    '</s:Envelope>',
  ].join('')
}
