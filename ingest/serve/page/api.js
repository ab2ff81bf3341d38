// What the server is asked, and what its errors say.

export class ApiError extends Error {
  constructor(message, kind, status) {
    super(message);
    Object.assign(this, { kind, status });
  }
}

async function ask(path, parameters, signal) {
  const query = new URLSearchParams(parameters).toString();
  let reply;
  try {
    reply = await fetch(query ? `${path}?${query}` : path, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("Lightkeep itself does not answer; is `lightkeep serve` still running?", "Offline", 0);
  }
  if (reply.ok) return reply;
  let said = {};
  try {
    said = await reply.json();
  } catch { /* what is no JSON says nothing */ }
  throw new ApiError(said.error ?? `the server answered ${reply.status}`, said.kind ?? "Error", reply.status);
}

export async function json(path, parameters = {}, signal = undefined) {
  return (await ask(path, parameters, signal)).json();
}

export async function tile(path, parameters, signal) {
  const body = await (await ask(path, parameters, signal)).arrayBuffer();
  const length = new DataView(body).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 4, length)));
  return { ...head, values: new Float32Array(body, 4 + length, head.rows * head.columns) };
}
