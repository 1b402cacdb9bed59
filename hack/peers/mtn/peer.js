// Drives the simulator's MTN side with mtn-momo, a client by other people.
// Usage: node peer.js BASE_URL COLLECTION_KEY DISBURSEMENT_KEY
"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const { create } = require("mtn-momo");

const [baseUrl, collectionKey, disbursementKey] = process.argv.slice(2);
const momo = create({ callbackHost: "127.0.0.1", baseUrl });

// provision makes an API user with the subscription key of a product.
async function provision(primaryKey) {
  const users = momo.Users({ primaryKey });
  const userId = await users.create("127.0.0.1");
  const { apiKey } = await users.login(userId);
  return { primaryKey, userId, userSecret: apiKey };
}

// settled asks until a transaction is decided; a failed one is thrown.
async function settled(product, reference) {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
    const transaction = await product.getTransaction(reference);
    if (transaction.status !== "PENDING") return transaction;
    await new Promise((resume) => setTimeout(resume, 20));
  }
  throw new Error("still pending after 10 s");
}

// receive returns the URL of a callback receiver, and its first callback.
function receive() {
  return new Promise((listening) => {
    const server = http.createServer();
    const first = new Promise((got) => {
      server.on("request", async (request, response) => {
        let body = "";
        for await (const chunk of request) body += chunk;
        response.end();
        server.close();
        got(JSON.parse(body));
      });
    });
    server.listen(0, "127.0.0.1", () => listening({ url: `http://127.0.0.1:${server.address().port}/`, first }));
  });
}

const party = (partyId) => ({ partyIdType: "MSISDN", partyId });
const payment = (partyId, more) => ({ amount: "100", currency: "EUR", externalId: "peer-1", payer: party(partyId), ...more });

// throws wants a promise to fail with an error of that name of the client's.
const throws = (promise, name) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.name, name, error.message);
    return true;
  });

async function checks() {
  const collector = await provision(collectionKey);
  await provision(disbursementKey);
  const collections = momo.Collections(collector);

  return {
    "request to pay, status and callback": async () => {
      const callback = await receive();
      const reference = await collections.requestToPay(payment("46733123999", { callbackUrl: callback.url }));
      const transaction = await settled(collections, reference);
      assert.equal(transaction.status, "SUCCESSFUL");
      assert.equal(transaction.externalId, "peer-1");
      assert.equal(transaction.amount, "100");
      const told = await callback.first;
      assert.equal(told.status, "SUCCESSFUL");
      assert.equal(told.financialTransactionId, transaction.financialTransactionId);
    },
    "payer refuses": async () => {
      const reference = await collections.requestToPay(payment("46733123451"));
      await throws(settled(collections, reference), "ApprovalRejectedError");
    },
    "payer has not enough funds": async () => {
      const reference = await collections.requestToPay(payment("46733123999", { amount: "904" }));
      await throws(settled(collections, reference), "NotEnoughFundsError");
    },
    "callback host that is not registered": () =>
      throws(collections.requestToPay(payment("46733123999", { callbackUrl: "http://localhost/" })), "InvalidCallbackUrlHostError"),
    "currency that the sandbox has not": () =>
      throws(collections.requestToPay(payment("46733123999", { currency: "XOF" })), "InvalidCurrencyError"),
    "reference that nobody knows": () =>
      throws(collections.getTransaction("11111111-1111-4111-8111-111111111111"), "ResourceNotFoundError"),
    "API key that is wrong": () =>
      assert.rejects(momo.Collections({ ...collector, userSecret: "wrong" }).requestToPay(payment("46733123999"))),
  };
}

async function main() {
  const all = await checks();
  console.log("ok provisioning of an API user for each product");
  for (const [name, check] of Object.entries(all)) {
    await check().catch((error) => {
      error.message = `${name}: ${error.message}`;
      throw error;
    });
    console.log("ok " + name);
  }
}

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});
