// Builds and opens Microsoft Graph's notifications with resource data, with nothing but Node's own crypto.
//
// Reads one JSON request per line on standard input and answers each with one line of JSON on standard output:
//
//   {"do": "build", "document": "<base64>", "certificate": "<base64 DER>", "certificateId": "…", "tenantId": "…",
//    "clientId": "…", "policyName": "…", "clientState": "…", "callId": "…", "version": "2.0", "loginEndpoint": "…",
//    "kid": "…", "signingKey": "<base64 PKCS #8>", "now": 1764000000}         → {"body": "…"}
//   {"do": "open", "content": {…}, "privateKey": "<base64 PKCS #8>"}         → {"resource": "<base64>"} or {"error": "…"}
//
// The steps are those of "Set up change notifications that include resource data".

import {
  constants, createCipheriv, createDecipheriv, createHash, createHmac, createPrivateKey, privateDecrypt, publicEncrypt,
  randomBytes, sign, timingSafeEqual, X509Certificate,
} from "node:crypto";
import { createInterface } from "node:readline";

const PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086";
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" };

function seal(document, certificate, certificateId) {
  const key = randomBytes(32);
  const cipher = createCipheriv("aes-256-cbc", key, key.subarray(0, 16));
  const data = Buffer.concat([cipher.update(document), cipher.final()]);
  const publicKey = new X509Certificate(certificate).publicKey;
  return {
    data: data.toString("base64"),
    dataSignature: createHmac("sha256", key).update(data).digest("base64"),
    dataKey: publicEncrypt({ key: publicKey, ...OAEP }, key).toString("base64"),
    encryptionCertificateId: certificateId,
    encryptionCertificateThumbprint: createHash("sha1").update(certificate).digest("hex").toUpperCase(),
  };
}

function unseal(content, privateKey) {
  const key = privateDecrypt({ key: privateKey, ...OAEP }, Buffer.from(content.dataKey, "base64"));
  const data = Buffer.from(content.data, "base64");
  const expected = createHmac("sha256", key).update(data).digest();
  const signature = Buffer.from(content.dataSignature, "base64");
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
    throw new Error("the content cannot be opened");
  }
  const decipher = createDecipheriv("aes-256-cbc", key, key.subarray(0, 16));
  return Buffer.concat([decipher.update(data), decipher.final()]);
}

function validationToken({ version, tenantId, clientId, loginEndpoint, kid, signingKey, now }) {
  const first = version === "1.0";
  const claims = {
    aud: clientId,
    iss: first ? `https://sts.windows.net/${tenantId}/` : `${loginEndpoint}/${tenantId}/v2.0`,
    iat: now,
    nbf: now,
    exp: now + 24 * 3600,
    [first ? "appid" : "azp"]: PUBLISHER,
    tid: tenantId,
    ver: version,
  };
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ typ: "JWT", alg: "RS256", kid })}.${part(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), signingKey).toString("base64url")}`;
}

function build(order) {
  const { tenantId, policyName, clientState, callId } = order;
  const content = seal(Buffer.from(order.document, "base64"), Buffer.from(order.certificate, "base64"), order.certificateId);
  const item = {
    subscriptionId: "7d2f0a44-61b5-4b7c-9d2c-0f3c5a8e1b60",
    subscriptionExpirationDateTime: "2026-11-24T11:00:00.0000000+00:00",
    clientState,
    changeType: "updated",
    resource: `communications/calls/getEmergencyEventsByPolicy(policyName='${policyName.replaceAll("'", "''")}')`,
    resourceData: { "@odata.type": "#microsoft.graph.emergencyCallEvent", "@odata.id": `communications/calls/${callId}`, id: callId },
    encryptedContent: content,
    tenantId,
    organizationId: tenantId,
  };
  const token = validationToken({ ...order, signingKey: privateKeyFrom(order.signingKey) });
  return { body: JSON.stringify({ value: [item], validationTokens: [token] }) };
}

function open({ content, privateKey }) {
  try {
    return { resource: unseal(content, privateKeyFrom(privateKey)).toString("base64") };
  } catch {
    return { error: "the content cannot be opened" };
  }
}

function privateKeyFrom(base64) {
  return createPrivateKey({ key: Buffer.from(base64, "base64"), format: "der", type: "pkcs8" });
}

const actions = { build, open };
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(actions[request.do](request))}\n`);
}
