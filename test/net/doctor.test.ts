import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { commandPath } from '../../scripts/checkout.ts'
import type { LabHost } from './lab-host.fixture.ts'
import { type Host, namespacesMissing } from './namespaces.fixture.ts'
import { NatLab, type SiteOptions } from './nat-lab.fixture.ts'
import { Process } from './process.fixture.ts'
import { ROOT, Workspace } from './workspace.fixture.ts'

/** `latica doctor`, as a user runs it, behind every NAT of the lab: what it says is so. */

const LIMIT = { timeout: 90_000, skip: namespacesMissing }
const PUBLIC_PEERS = 5
const PORT = 9777
const PLAIN = ['--no-storage', '--no-port-mapping']

const EIM = { mapping: 'endpoint-independent', allocation: 'preserving', isTranslated: true }
const EDM = { mapping: 'endpoint-dependent', isTranslated: true, hairpin: false }
const STRICT = { filtering: 'address-and-port-dependent' }

interface Case {
  readonly site: SiteOptions
  /** What of its `nat` is certain. */
  readonly nat: Readonly<Record<string, unknown>>
  readonly verdict: string
  readonly exitCode: number
  /** In its first sentence. */
  readonly says: RegExp
}

const CASES: Readonly<Record<string, Case>> = {}
