// Asks a Sightsmith deployment what is in some images and prints one line of JSON for each.

import { readFile } from 'node:fs/promises';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import healthCheck from 'grpc-health-check';

const PROTOS = fileURLToPath(new URL('../../protos', import.meta.url));
const CALL_SECONDS = 60;
const USAGE = `Usage: node predict.js --deployment NAME --token-file FILE [options] IMAGE…

  --deployment NAME       projects/{project}/deployments/{deployment}
  --token-file FILE       holds the bearer token
  --target HOST:PORT      the inference service (default 127.0.0.1:50053)
  --ca FILE               speak TLS and trust the authority in this PEM file
  --proto-path FOLDER     holds google/api and google/rpc; may be repeated (or SIGHTSMITH_PROTO_PATH)
  --min-confidence X      leave out labels below this confidence, 0 to 1
  --max-results N         return at most N labels
`;

/** A mistake of the person who called, told without a stack trace. */
class UsageError extends Error {}

function readArguments() {
  const text = { type: 'string' };
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      deployment: text,
      'token-file': text,
      target: { type: 'string', default: '127.0.0.1:50053' },
      ca: text,
      'proto-path': { type: 'string', multiple: true },
      'min-confidence': text,
      'max-results': text,
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return { help: true };
  for (const name of ['deployment', 'token-file']) {
    if (!values[name]) throw new UsageError(`--${name} is missing`);
  }
  if (positionals.length === 0) throw new UsageError('name one image file or more');
  return {
    deployment: values.deployment,
    tokenFile: values['token-file'],
    target: values.target,
    ca: values.ca,
    protoPaths: values['proto-path'] ?? (process.env.SIGHTSMITH_PROTO_PATH ?? '').split(delimiter).filter(Boolean),
    minConfidence: readNumber(values, 'min-confidence'),
    maxResults: readNumber(values, 'max-results'),
    images: positionals,
  };
}

function readNumber(values, name) {
  if (values[name] === undefined) return undefined;
  const number = Number(values[name]);
  if (values[name].trim() === '' || Number.isNaN(number)) {
    throw new UsageError(`--${name}: '${values[name]}' is no number`);
  }
  return number;
}

function loadProtos(protoPaths) {
  const files = [
    'sightsmith/api/inference/v1/prediction_service.proto',
    'google/rpc/status.proto',
    'google/rpc/error_details.proto',
  ];
  // `json` unpacks the details of a status, which are of type Any, into the messages that they hold.
  const options = { keepCase: true, defaults: true, longs: String, enums: String, json: true };
  try {
    return protoLoader.loadSync(files, { ...options, includeDirs: [PROTOS, ...protoPaths] });
  } catch (error) {
    throw new UsageError(`cannot load the protos (does --proto-path hold google/rpc?): ${error.message}`);
  }
}

async function readTokenMetadata(path) {
  const token = (await readFile(path, 'utf8')).trim();
  if (!token) throw new UsageError(`${path} is empty: it must hold the bearer token`);
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

/** A promise-returning version of one method of a client, with a deadline. */
function method(client, name) {
  const call = promisify(client[name].bind(client));
  return (request, metadata = new grpc.Metadata()) =>
    call(request, metadata, { deadline: Date.now() + CALL_SECONDS * 1000 });
}

async function checkHealth(target, credentials) {
  const Health = grpc.makeGenericClientConstructor(healthCheck.service, 'Health');
  const client = new Health(target, credentials);
  try {
    const { status } = await method(client, 'check')({ service: '' });
    if (status !== 'SERVING') throw new UsageError(`the inference service at ${target} is not ready: ${status}`);
  } finally {
    client.close();
  }
}

async function predictAll(args, protos, credentials) {
  const metadata = await readTokenMetadata(args.tokenFile);
  const { PredictionService } = grpc.loadPackageDefinition(protos).sightsmith.api.inference.v1;
  const client = new PredictionService(args.target, credentials);
  const predict = method(client, 'Predict');
  let failures = 0;
  try {
    for (const file of args.images) {
      try {
        const answer = await predict(await predictRequest(args, file), metadata);
        console.log(JSON.stringify({ file, model: answer.model, predictions: answer.predictions }));
      } catch (error) {
        failures += 1;
        console.error(`${file}: ${explain(error, protos)}`);
      }
    }
  } finally {
    client.close();
  }
  return failures;
}

async function predictRequest({ deployment, minConfidence, maxResults }, file) {
  return { deployment, image: await readFile(file), min_confidence: minConfidence, max_results: maxResults };
}

/** The reason (google.rpc.ErrorInfo), the message and the fields at fault, as far as the server told them. */
function explain(error, protos) {
  const packed = error.metadata?.get?.('grpc-status-details-bin')?.[0];
  if (!packed) return error.code in grpc.status ? `${grpc.status[error.code]}: ${error.details}` : error.message;
  const status = protos['google.rpc.Status'].deserialize(packed);
  const detail = (name) => status.details.find((one) => one['@type']?.endsWith(`/google.rpc.${name}`));
  const reason = detail('ErrorInfo')?.reason ?? grpc.status[status.code];
  const fields = (detail('BadRequest')?.field_violations ?? []).map((one) => `${one.field}: ${one.description}`);
  const lines = [`${reason}: ${status.message}`, ...fields.filter((field) => field !== status.message)];
  return lines.join('\n  ');
}

async function main() {
  const args = readArguments();
  if (args.help) {
    console.log(USAGE);
    return 0;
  }
  const protos = loadProtos(args.protoPaths);
  const credentials = args.ca
    ? grpc.credentials.createSsl(await readFile(args.ca))
    : grpc.credentials.createInsecure();
  try {
    await checkHealth(args.target, credentials);
    return (await predictAll(args, protos, credentials)) === 0 ? 0 : 1;
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(explain(error, protos));
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  const usage = error.code?.startsWith?.('ERR_PARSE_ARGS') ? `\n\n${USAGE}` : '';
  console.error(`predict: ${error.message}${usage}`);
  process.exitCode = 1;
}
