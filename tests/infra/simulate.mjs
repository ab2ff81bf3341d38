// Answers questions about IAM policies, one JSON document a line in and out.
import { createInterface } from 'node:readline'
import { anonymousPrincipal, runSimulation } from '@cloud-copilot/iam-simulate'

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  const answer = await runSimulation({
    request: {
      action: asked.action,
      principal: asked.principal ?? anonymousPrincipal,
      resource: { resource: asked.resource, accountId: asked.account },
      contextVariables: asked.context,
    },
    identityPolicies: asked.principal ? asked.identity.map((policy, number) => ({ name: `policy${number}`, policy })) : [],
    resourcePolicy: asked.bucket ?? undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  }, {})
  const errors = answer.resultType === 'error' ? answer.errors : null
  process.stdout.write(JSON.stringify({ result: answer.overallResult ?? 'Error', errors }) + '\n')
}
