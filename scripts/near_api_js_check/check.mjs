// npm near-api-js 7.2.0 on a running `near-agent localnet`: transfers, contract calls, keys, and its typed errors.
//
//   node check.mjs [RPC_URL] [CREDENTIALS_DIR]     exit code 0 when everything holds, 1 otherwise

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Account, actions, JsonRpcProvider, KeyPair, nearToYocto, teraToGas } from 'near-api-js';
import { FungibleToken } from 'near-api-js/tokens';

const rpcUrl = process.argv[2] ?? 'http://127.0.0.1:3030';
const credentials = process.argv[3] ?? '.near-agent/localnet/credentials';
const provider = new JsonRpcProvider({ url: rpcUrl }, { retries: 2 });
const secret = (id) => JSON.parse(readFileSync(join(credentials, `${id}.json`), 'utf8')).private_key;
const alice = new Account('alice.localnet', provider, secret('alice.localnet'));
const bob = new Account('bob.localnet', provider, secret('bob.localnet'));
const usdc = new FungibleToken('usdc.localnet', { name: 'USD Coin', symbol: 'USDC', decimals: 6 });
const near = nearToYocto;
const view = (contractId, method, args = {}) => provider.callFunction({ contractId, method, args });
const call = (contractId, methodName, args = {}, deposit = 0n) =>
  alice.callFunction({ contractId, methodName, args, deposit, gas: teraToGas('100') });
const fails = (promise, pattern) => assert.rejects(promise, (error) => pattern.test(`${error.name} ${error.message} ${JSON.stringify(error, (_, v) => (typeof v === 'bigint' ? String(v) : v))}`));

const checks = {
  'the node says who it is': async () => {
    const status = await provider.viewNodeStatus();
    assert.equal(status.chain_id, 'localnet');
    assert.equal(await provider.getNetworkId(), 'localnet');
    const config = await provider.experimental_protocolConfig({ finality: 'final' });
    assert.equal(config.runtime_config.storage_amount_per_byte, '10000000000000000000');
    assert.ok(BigInt((await provider.viewGasPrice()).gas_price) > 0n);
  },
  'blocks and chunks by height, hash and finality': async () => {
    const block = await provider.viewBlock({ finality: 'final' });
    assert.equal((await provider.viewBlock({ blockId: block.header.height })).header.hash, block.header.hash);
    assert.equal((await provider.viewBlock({ blockId: block.header.hash })).header.height, block.header.height);
    const chunk = await provider.viewChunk(block.chunks[0].chunk_hash);
    assert.equal(chunk.header.chunk_hash, block.chunks[0].chunk_hash);
    assert.ok((await provider.viewValidators()).current_validators.length > 0);
  },
  'a transfer of 1.5 NEAR arrives to the yocto': async () => {
    const before = await bob.getBalance();
    const sent = await alice.transfer({ receiverId: 'bob.localnet', amount: near('1.5') });
    assert.equal((await bob.getBalance()) - before, near('1.5'));
    const txHash = sent.transaction.hash;
    const final = await provider.viewTransactionStatus({ txHash, accountId: 'alice.localnet', waitUntil: 'FINAL' });
    assert.equal(final.final_execution_status, 'FINAL');
    const full = await provider.viewTransactionStatusWithReceipts({ txHash, accountId: 'alice.localnet', waitUntil: 'FINAL' });
    assert.equal(full.receipts[0].receiver_id, 'bob.localnet');
  },
  'account state and access keys': async () => {
    const state = await alice.getState();
    assert.ok(state.balance.available > 0n);
    const { keys } = await alice.getAccessKeyList();
    const key = await alice.getAccessKey(await alice.getSigner().getPublicKey());
    assert.equal(key.permission, 'FullAccess');
    assert.equal(keys.length >= 1, true);
  },
  'the counter counts': async () => {
    const before = await view('counter.localnet', 'get_num');
    assert.equal(await call('counter.localnet', 'increment', { number: 3 }), before + 3);
    assert.equal(await view('counter.localnet', 'get_num'), before + 3);
  },
  'the guest book keeps any text': async () => {
    const text = 'grüße 🚀 "quoted" \\ \n';
    await call('guestbook.localnet', 'add_message', { text }, near('0.1'));
    const total = await view('guestbook.localnet', 'total_messages');
    const [message] = await view('guestbook.localnet', 'get_messages', { from_index: String(total - 1) });
    assert.deepEqual(message, { premium: true, sender: 'alice.localnet', text });
  },
  'tokens move after a registration in the same transaction': async () => {
    const before = BigInt(await view('usdc.localnet', 'ft_balance_of', { account_id: 'carol.localnet' }));
    const bounds = await view('usdc.localnet', 'storage_balance_bounds');
    await alice.signAndSendTransaction({
      receiverId: 'usdc.localnet',
      actions: [
        actions.functionCall('storage_deposit', { account_id: 'carol.localnet' }, teraToGas('10'), BigInt(bounds.min)),
        actions.functionCall('ft_transfer', { receiver_id: 'carol.localnet', amount: '12500000' }, teraToGas('10'), 1n),
      ],
      waitUntil: 'FINAL',
    });
    const after = BigInt(await view('usdc.localnet', 'ft_balance_of', { account_id: 'carol.localnet' }));
    assert.equal(after - before, 12500000n);
  },
  'its own token class moves USDC': async () => {
    const before = await bob.getBalance(usdc);
    await alice.transfer({ receiverId: 'bob.localnet', amount: usdc.toUnits('2.5'), token: usdc });
    assert.equal((await bob.getBalance(usdc)) - before, 2500000n);
  },
  'ft_transfer_call: used, partly returned, receiver panics': async () => {
    await call('usdc.localnet', 'storage_deposit', { account_id: 'counter.localnet' }, near('0.00125'));
    const transfer = (msg) =>
      call('usdc.localnet', 'ft_transfer_call', { receiver_id: 'counter.localnet', amount: '1000', msg }, 1n);
    assert.equal(await transfer(''), '1000');
    assert.equal(await transfer('400'), '600');
    assert.equal(await transfer('panic'), '0');
  },
  'NEAR is wrapped and unwrapped': async () => {
    await call('wrap.localnet', 'storage_deposit', {}, near('0.00125'));
    const before = BigInt(await view('wrap.localnet', 'ft_balance_of', { account_id: 'alice.localnet' }));
    await call('wrap.localnet', 'near_deposit', {}, near('2'));
    await call('wrap.localnet', 'near_withdraw', { amount: near('0.5').toString() }, 1n);
    const after = BigInt(await view('wrap.localnet', 'ft_balance_of', { account_id: 'alice.localnet' }));
    assert.equal(after - before, near('1.5'));
  },
  'a new account with a contract and a limited key': async () => {
    const pair = KeyPair.fromRandom('ed25519');
    const accountId = `c${Date.now()}.alice.localnet`;
    await alice.createSubAccount({ accountOrPrefix: accountId, publicKey: pair.getPublicKey(), nearToTransfer: near('5') });
    const made = new Account(accountId, provider, pair.toString());
    const code = readFileSync(new URL('../../contracts/localnet/wasm/counter.wasm', import.meta.url));
    await made.deployContract(code);
    assert.deepEqual(Buffer.from((await made.getContractCode()).code_base64, 'base64'), code);
    const limited = KeyPair.fromRandom('ed25519');
    await made.addFunctionCallAccessKey({
      publicKey: limited.getPublicKey(), contractId: accountId, methodNames: ['increment'], allowance: near('1'),
    });
    const guest = new Account(accountId, provider, limited.toString());
    assert.equal(await guest.callFunction({ contractId: accountId, methodName: 'increment', args: {} }), 1);
    await fails(guest.callFunction({ contractId: accountId, methodName: 'reset', args: {} }), /reset|MethodName/i);
    assert.ok((await made.getContractState('')).values.length > 0);
    await made.deleteKey(limited.getPublicKey());
    assert.equal((await made.getAccessKeyList()).keys.length, 1);
    await made.deleteAccount('alice.localnet');
    await fails(made.getState(), /UnknownAccount|AccountDoesNotExist|doesn't exist|does not exist/i);
  },
  // In a row: sent at once, its nonce manager hands nonces out in an order in which the requests need not arrive.
  'sixteen transfers in a row': async () => {
    const before = await bob.getBalance();
    for (let i = 0; i < 16; i += 1) await alice.transfer({ receiverId: 'bob.localnet', amount: 7n });
    assert.equal((await bob.getBalance()) - before, 112n);
  },
  'what cannot be is a typed error': async () => {
    await fails(alice.transfer({ receiverId: 'bob.localnet', amount: near('1000000') }), /NotEnoughBalance|enough/i);
    await fails(view('counter.localnet', 'no_such_method'), /MethodNotFound|no_such_method|not found/i);
    await fails(view('bob.localnet', 'get_num'), /NoContractCode|CodeDoesNotExist|no contract|code/i);
    await fails(view('nobody.localnet', 'get_num'), /UnknownAccount|does not exist|doesn't exist/i);
    await fails(call('counter.localnet', 'fail', { message: 'no such luck' }), /no such luck/);
    await fails(alice.transfer({ receiverId: 'nobody.localnet', amount: 1n }), /nobody\.localnet/);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n        ${error.stack ?? error}`);
  }
}
console.log(`near-api-js 7.2.0 on ${rpcUrl}: ${Object.keys(checks).length} checks, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
