//! What the sample says of the wallet.

use super::masternodes::{collateral, masternode_id};
use super::{Sample, address, transaction, unspent};
use async_trait::async_trait;
use timed_ledger::{Address, KeyHash, OutPoint, TextSignature, TransactionBody, TxInput, TxOutput, Witness};
use timed_primitives::{Amount, ChainId, Hash, SecretKey, TxId};
use timed_rpc::result::Balance;
use timed_rpc::{Funding, PaymentOrder, RpcError, Unspent, WalletApi};

#[async_trait]
impl WalletApi for Sample {
    async fn balance(&self, of: Option<Address>) -> Result<Balance, RpcError> {
        let spendable = if of.is_some() { Amount::ONE } else { Amount(9_007_199_254_740_993) };
        let collateral = Amount::whole(1_000).into();
        Ok(Balance { spendable: spendable.into(), collateral, ..Balance::default() })
    }

    async fn new_address(&self, label: String) -> Result<Address, RpcError> {
        self.set_label(address(1), label).await?;
        Ok(address(1))
    }

    fn addresses(&self) -> Vec<Address> {
        vec![address(1), address(3)]
    }

    fn labels(&self) -> Vec<(Address, String)> {
        self.labels.lock().unwrap().iter().map(|(address, label)| (*address, label.clone())).collect()
    }

    fn label(&self, of: &Address) -> String {
        self.labels.lock().unwrap().get(of).cloned().unwrap_or_default()
    }

    async fn set_label(&self, of: Address, label: String) -> Result<(), RpcError> {
        let mut labels = self.labels.lock().unwrap();
        if label.is_empty() {
            labels.remove(&of)
        } else {
            labels.insert(of, label)
        };
        Ok(())
    }

    async fn unspent(&self, of: Vec<Address>) -> Result<Vec<Unspent>, RpcError> {
        self.keep_thread();
        let all = [unspent(0, 1, None), unspent(1, 2, Some(TxId(Hash([0xcd; 32])))), unspent(1, 0, None)];
        let output = TxOutput { amount: Amount::whole(1_000), lock: address(3).lock() };
        let (outpoint, collateral) = (collateral(2), Some(masternode_id(2)));
        let locked = Unspent { outpoint, output, collateral, ..unspent(0, 3, None) };
        let all = all.into_iter().chain(of.is_empty().then_some(locked));
        Ok(all.filter(|u| of.is_empty() || of.iter().any(|a| a.lock() == u.output.lock)).collect())
    }

    fn is_mine(&self, of: &Address) -> bool {
        [address(1), address(3)].contains(of)
    }

    async fn witnesses(
        &self,
        body: TransactionBody,
        owners: Vec<Option<KeyHash>>,
    ) -> Result<Vec<Option<Witness>>, RpcError> {
        let key = SecretKey::development("wallet", 1);
        let witness = Witness::Key { key: key.public(), signature: key.sign(&body.signing_message()) };
        Ok(owners.iter().map(|owner| (*owner == Some(KeyHash::of(&key.public()))).then(|| witness.clone())).collect())
    }

    async fn sign_text(&self, of: Address, text: String) -> Result<TextSignature, RpcError> {
        match of == address(1) {
            true => Ok(TextSignature::new(&SecretKey::development("wallet", 1), &text)),
            false => Err(RpcError::Wallet(format!("the wallet does not have the key of {of}"))),
        }
    }

    async fn hold_back(&self, outputs: Vec<OutPoint>, is_held: bool) -> Result<(), RpcError> {
        let mut held = self.held.lock().unwrap();
        held.retain(|output| !outputs.is_empty() && !outputs.contains(output));
        held.extend(outputs.into_iter().filter(|_| is_held));
        Ok(())
    }

    async fn held_back(&self) -> Result<Vec<OutPoint>, RpcError> {
        Ok(self.held.lock().unwrap().clone())
    }

    async fn pay(&self, order: PaymentOrder) -> Result<TxId, RpcError> {
        let (available, needed) = (Amount::whole(100), Amount::sum(order.outputs.iter().map(|(_, amount)| *amount)));
        let is_known = order.outputs.iter().all(|(to, _)| *to == address(1) || *to == address(2));
        if is_known && needed.is_some_and(|needed| needed <= available) {
            self.orders.lock().unwrap().push(order);
            Ok(transaction().id())
        } else {
            Err(RpcError::InsufficientFunds { needed: needed.unwrap(), available })
        }
    }

    async fn fund(
        &self,
        order: PaymentOrder,
        inputs: Vec<OutPoint>,
        change: Option<Address>,
    ) -> Result<Funding, RpcError> {
        let added = OutPoint { txid: transaction().id(), index: 1 };
        let change_at = Some(order.outputs.len());
        let outputs = order.outputs.iter().map(|(to, amount)| TxOutput { amount: *amount, lock: to.lock() });
        let left = TxOutput { amount: Amount::ONE, lock: change.unwrap_or(address(1)).lock() };
        let inputs = inputs.into_iter().chain([added]).map(|previous| TxInput { previous }).collect();
        let body = TransactionBody::transfer(ChainId(7), inputs, outputs.chain([left]).collect());
        let body = TransactionBody { payload: order.payload.clone(), ..body };
        self.orders.lock().unwrap().push(order);
        Ok(Funding { body, fee: Amount(277), change_at })
    }
}
