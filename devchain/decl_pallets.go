package devchain

// pallets lists the pallets in the order of the metadata: storage entries are name, whether an absent value is None,
// hashers, key, value and default; constants are name, type and SCALE value. The constant System.Version is filled in
// when the metadata is made.
func declarePallets() []pallet {
	return []pallet{
		{name: "System", index: 0, prefix: "System", storage: []entry{
			{"Account", defaulted, []uint8{2}, accountId32T, accountInfoT, zeros(80)},
			{"ExtrinsicCount", optional, nil, nil, u32T, "00"},
			{"BlockWeight", defaulted, nil, nil, perDispatchClassT, "000000000000000000000000000000000000000000000000"},
			{"AllExtrinsicsLen", optional, nil, nil, u32T, "00"},
			{"BlockHash", defaulted, []uint8{5}, u32T, h256T, "0000000000000000000000000000000000000000000000000000000000000000"},
			{"ExtrinsicData", defaulted, []uint8{5}, u32T, bytesT, "00"},
			{"Number", defaulted, nil, nil, u32T, "00000000"},
			{"ParentHash", defaulted, nil, nil, h256T, "0000000000000000000000000000000000000000000000000000000000000000"},
			{"Digest", defaulted, nil, nil, digestT, "00"},
			{"Events", defaulted, nil, nil, seq(eventRecordT), "00"},
			{"EventCount", defaulted, nil, nil, u32T, "00000000"},
			{"EventTopics", defaulted, []uint8{2}, h256T, seq(tuple(u32T, u32T)), "00"},
			{"LastRuntimeUpgrade", optional, nil, nil, lastRuntimeUpgradeInfoT, "00"},
			{"UpgradedToU32RefCount", defaulted, nil, nil, boolT, "00"},
			{"UpgradedToTripleRefCount", defaulted, nil, nil, boolT, "00"},
			{"ExecutionPhase", optional, nil, nil, phaseT, "00"},
		}, calls: systemCallT, event: systemEventT, error: systemErrorT, constants: []constant{
			{"BlockWeights", blockWeightsT, "e0d1a93e010000000088526a7400000090cd24050000000001705e7b78510000000100e6bd4f5700000001000000000000000090cd24050000000001700010936e000000010088526a740000000100a2941a1d00000090cd240500000000000000"},
			{"BlockLength", blockLengthT, "00003c000000500000005000"},
			{"BlockHashCount", u32T, "60090000"},
			{"DbWeight", runtimeDbWeightT, "40787d010000000000e1f50500000000"},
			{"Version", runtimeVersionT, ""},
			{"SS58Prefix", u16T, "2a00"},
		}},
		{name: "Timestamp", index: 2, prefix: "Timestamp", storage: []entry{
			{"Now", defaulted, nil, nil, u64T, "0000000000000000"},
			{"DidUpdate", defaulted, nil, nil, boolT, "00"},
		}, calls: timestampCallT, constants: []constant{
			{"MinimumPeriod", u64T, "7017000000000000"},
		}},
		{name: "Balances", index: 4, prefix: "Balances", storage: []entry{
			{"TotalIssuance", defaulted, nil, nil, u128T, "00000000000000000000000000000000"},
			{"Account", defaulted, []uint8{2}, accountId32T, accountDataT, zeros(64)},
			{"Locks", defaulted, []uint8{2}, accountId32T, weakBoundedVecT, "00"},
			{"Reserves", defaulted, []uint8{2}, accountId32T, boundedVecT, "00"},
			{"StorageVersion", defaulted, nil, nil, releasesT, "00"},
		}, calls: balancesCallT, event: balancesEventT, error: balancesErrorT, constants: []constant{
			{"ExistentialDeposit", u128T, "f4010000000000000000000000000000"},
			{"MaxLocks", u32T, "32000000"},
			{"MaxReserves", u32T, "00000000"},
		}},
		{name: "TransactionPayment", index: 5, prefix: "TransactionPayment", storage: []entry{
			{"NextFeeMultiplier", defaulted, nil, nil, fixedU128T, "000064a7b3b6e00d0000000000000000"},
			{"StorageVersion", defaulted, nil, nil, feeReleasesT, "00"},
		}, event: transactionPaymentEventT, constants: []constant{
			{"OperationalFeeMultiplier", u8T, "05"},
		}},
		{name: "Utility", index: 8, calls: utilityCallT, event: utilityEventT, error: utilityErrorT, constants: []constant{
			{"batched_calls_limit", u32T, "aa2a0000"},
		}},
		{name: "PeaqDid", index: 100, prefix: "PeaqDid", storage: []entry{
			{"AttributeStore", defaulted, []uint8{2}, bytes32T, attributeT, "0000000000000000000000000000"},
			{"OwnerStore", optional, []uint8{2}, tuple(accountId32T, bytes32T), accountId32T, "00"},
		}, calls: peaqDidCallT, event: peaqDidEventT, error: peaqDidErrorT},
		{name: "PeaqRbac", index: 103, prefix: "PeaqRbac", storage: []entry{
			{"RoleStore", defaulted, []uint8{2}, accountId32T, seq(entityT), "00"},
			{"Role2UserStore", defaulted, []uint8{2}, bytes32T, seq(role2UserT), "00"},
			{"PermissionStore", defaulted, []uint8{2}, accountId32T, seq(entityT), "00"},
			{"Permission2RoleStore", defaulted, []uint8{2}, bytes32T, seq(permission2RoleT), "00"},
			{"GroupStore", defaulted, []uint8{2}, accountId32T, seq(entityT), "00"},
			{"Role2GroupStore", defaulted, []uint8{2}, bytes32T, seq(role2GroupT), "00"},
			{"User2GroupStore", defaulted, []uint8{2}, bytes32T, seq(user2GroupT), "00"},
			{"KeysLookUpStore", defaulted, []uint8{2}, bytes32T, entityT, "00000000000000000000000000000000000000000000000000000000000000000000"},
		}, calls: peaqRbacCallT, event: peaqRbacEventT, error: peaqRbacErrorT},
	}
}

// signedExtensions lists what a signed transaction carries: identifier, type in the extrinsic, type signed on top.
var signedExtensions = []extension{
	{"CheckSpecVersion", checkSpecVersionT, u32T},
	{"CheckTxVersion", checkTxVersionT, u32T},
	{"CheckGenesis", checkGenesisT, h256T},
	{"CheckMortality", checkMortalityT, h256T},
	{"CheckNonce", checkNonceT, tuple()},
	{"CheckWeight", checkWeightT, tuple()},
	{"ChargeTransactionPayment", chargeTransactionPaymentT, tuple()},
}
