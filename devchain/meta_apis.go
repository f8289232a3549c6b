package devchain

import (
	"golang.org/x/crypto/blake2b"

	"iod/scale"
)

const specName = "peaq-node"

// api is a runtime API: a trait and its methods.
type api struct {
	name    string
	version uint32
	methods []method
}

type method struct {
	name   string
	inputs []field
	output *typ
}

var (
	rbacErrorTypeT = enum("peaq_pallet_rbac::error::RbacErrorType",
		v(0, "EntityAlreadyExist"), v(1, "EntityDoesNotExist"), v(2, "EntityAuthorizationFailed"), v(3, "EntityDisabled"),
		v(4, "AssignmentAlreadyExist"), v(5, "AssignmentDoesNotExist"), v(6, "NameExceedMaxChar"))
	rbacErrorT = composite("peaq_pallet_rbac::error::RbacError",
		f("typ", rbacErrorTypeT, "RbacErrorType"), f("param", bytesT, "Vec<u8>"))
	opaqueMetadataT  = composite("sp_core::OpaqueMetadata", f("", bytesT, "Vec<u8>"))
	dispatchInfoFeeT = composite("pallet_transaction_payment::types::RuntimeDispatchInfo",
		f("weight", weightT, "Weight"), f("class", dispatchClassT, "DispatchClass"), f("partial_fee", u128T, "Balance")).
		param("Balance", u128T).param("Weight", weightT)
	inclusionFeeT = composite("pallet_transaction_payment::types::InclusionFee",
		f("base_fee", u128T, "Balance"), f("len_fee", u128T, "Balance"), f("adjusted_weight_fee", u128T, "Balance")).
		param("Balance", u128T)
	feeDetailsT = composite("pallet_transaction_payment::types::FeeDetails",
		f("inclusion_fee", option(inclusionFeeT), "Option<InclusionFee<Balance>>"), f("tip", u128T, "Balance")).
		param("Balance", u128T)
)

// declareAPIs lists the runtime APIs that state_call answers.
func declareAPIs(rt runtime) []api {
	extrinsic := rt.uncheckedExtrinsic()
	in := func(name string, t *typ) field { return field{name: name, t: t} }
	rbac := func(name string, ok *typ, inputs ...field) method {
		return method{name, inputs, result(ok, rbacErrorT)}
	}
	owner := in("owner", accountId32T)
	return []api{
		{"Core", 4, []method{{"version", nil, runtimeVersionT}}},
		{"Metadata", 2, []method{
			{"metadata", nil, opaqueMetadataT},
			{"metadata_at_version", []field{in("version", u32T)}, option(opaqueMetadataT)},
			{"metadata_versions", nil, seq(u32T)}}},
		{"AccountNonceApi", 1, []method{{"account_nonce", []field{in("account", accountId32T)}, u32T}}},
		{"TransactionPaymentApi", 1, []method{
			{"query_info", []field{in("uxt", extrinsic), in("len", u32T)}, dispatchInfoFeeT},
			{"query_fee_details", []field{in("uxt", extrinsic), in("len", u32T)}, feeDetailsT}}},
		{"PeaqDIDApi", 1, []method{{"read", []field{in("did_account", accountId32T), in("name", bytesT)}, option(attributeT)}}},
		{"PeaqRBACRuntimeApi", 1, []method{
			rbac("fetch_role", entityT, in("account", accountId32T), in("entity", bytes32T)),
			rbac("fetch_roles", seq(entityT), owner),
			rbac("fetch_user_roles", seq(role2UserT), owner, in("user_id", bytes32T)),
			rbac("fetch_permission", entityT, owner, in("permission_id", bytes32T)),
			rbac("fetch_permissions", seq(entityT), owner),
			rbac("fetch_role_permissions", seq(permission2RoleT), owner, in("role_id", bytes32T)),
			rbac("fetch_group", entityT, owner, in("group_id", bytes32T)),
			rbac("fetch_groups", seq(entityT), owner),
			rbac("fetch_group_roles", seq(role2GroupT), owner, in("group_id", bytes32T)),
			rbac("fetch_user_groups", seq(user2GroupT), owner, in("user_id", bytes32T)),
			rbac("fetch_user_permissions", seq(entityT), owner, in("user_id", bytes32T)),
			rbac("fetch_group_permissions", seq(entityT), owner, in("group_id", bytes32T)),
		}},
	}
}

func appendAPIs(r *registry, b []byte, rt runtime) []byte {
	apis := declareAPIs(rt)
	b = scale.AppendCompact(b, uint64(len(apis)))
	for _, a := range apis {
		b = scale.AppendStr(b, a.name)
		b = scale.AppendCompact(b, uint64(len(a.methods)))
		for _, m := range a.methods {
			b = scale.AppendStr(b, m.name)
			b = scale.AppendCompact(b, uint64(len(m.inputs)))
			for _, x := range m.inputs {
				b = r.appendID(scale.AppendStr(b, x.name), x.t)
			}
			b = appendDocs(r.appendID(b, m.output))
		}
		b = appendDocs(b)
	}
	return b
}

// version is the SCALE form of sp_version::RuntimeVersion.
func (rt runtime) version() []byte {
	b := scale.AppendStr(scale.AppendStr(nil, specName), specName)
	b = scale.AppendU32(scale.AppendU32(scale.AppendU32(b, 1), rt.spec), 1)
	apis := declareAPIs(rt)
	b = scale.AppendCompact(b, uint64(len(apis)))
	for _, a := range apis {
		id := apiID(a.name)
		b = scale.AppendU32(append(b, id[:]...), a.version)
	}
	return append(scale.AppendU32(b, rt.tx), 0)
}

// apiID is the first eight bytes of the BLAKE2b-64 hash of the trait's name.
func apiID(name string) (id [8]byte) {
	h, err := blake2b.New(8, nil)
	if err != nil {
		panic(err) // only for sizes that BLAKE2b does not have
	}
	h.Write([]byte(name))
	copy(id[:], h.Sum(nil))
	return id
}
