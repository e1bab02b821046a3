// Writes envelopes with go-perun itself, as lines "name codec hex" for tests/wire.
//
// Without an argument it prints each message in both encodings. With the argument "read" it reads such lines from
// standard input and prints what go-perun makes of each: "name codec same" if go-perun reads the bytes to their end and
// writes them again, "name codec other" if it writes others, or its error.
//
//	go mod init vectors && go get perun.network/go-perun@v0.15.0 && go run . | grep -v ^pkg/test > go-perun.txt
package main

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"time"

	"perun.network/go-perun/channel"
	"perun.network/go-perun/client"
	"perun.network/go-perun/wallet"
	"perun.network/go-perun/wire"
	"perun.network/go-perun/wire/net/simple"
	"perun.network/go-perun/wire/perunio"
	perunioSerializer "perun.network/go-perun/wire/perunio/serializer"
	"perun.network/go-perun/wire/protobuf"
)

// raw is whatever a backend marshals: addresses, apps and data are their bytes here.
type raw struct {
	id   wallet.BackendID
	data []byte
}

func (r *raw) MarshalBinary() ([]byte, error)    { return r.data, nil }
func (r *raw) UnmarshalBinary(data []byte) error { r.data = bytes.Clone(data); return nil }
func (r *raw) String() string                    { return hex.EncodeToString(r.data) }
func (r *raw) Equal(o wallet.Address) bool       { return r.String() == o.String() }
func (r *raw) BackendID() wallet.BackendID       { return r.id }

type appID struct{ raw }

func (a *appID) Equal(o channel.AppID) bool { return a.Key() == o.Key() }
func (a *appID) Key() channel.AppIDKey      { return channel.AppIDKey(a.data) }

type data struct{ raw }

func (d *data) Clone() channel.Data { return &data{raw{data: bytes.Clone(d.data)}} }

type app struct{ id channel.AppID }

func (a app) Def() channel.AppID    { return a.id }
func (a app) NewData() channel.Data { return &data{} }
func (app) ValidTransition(*channel.Params, *channel.State, *channel.State, channel.Index) error {
	return nil
}
func (app) ValidInit(*channel.Params, *channel.State) error { return nil }

type resolver struct{}

func (resolver) Resolve(id channel.AppID) (channel.App, error) { return app{id}, nil }

// asset is an asset of backend 2: its bytes.
type asset struct{ raw }

func (a *asset) Equal(o channel.Asset) bool { return bytes.Equal(a.data, o.Address()) }
func (a *asset) Address() []byte            { return a.data }

// ethereum is an asset as perun-eth-backend v0.6.0 marshals it.
type ethereum struct {
	chain  *raw
	holder *raw
}

func (a *ethereum) MarshalBinary() ([]byte, error) {
	var out bytes.Buffer
	err := perunio.Encode(&out, a.chain, uint32(1), a.holder)
	return out.Bytes(), err
}

func (a *ethereum) UnmarshalBinary(data []byte) error {
	var id uint32
	a.chain, a.holder = &raw{}, &raw{}
	return perunio.Decode(bytes.NewReader(data), a.chain, &id, a.holder)
}
func (a *ethereum) Equal(o channel.Asset) bool { return bytes.Equal(a.Address(), o.Address()) }
func (a *ethereum) Address() []byte            { return a.holder.data }

type wallets struct{ id wallet.BackendID }

func (w wallets) NewAddress() wallet.Address { return &raw{id: w.id} }
func (wallets) DecodeSig(r io.Reader) (wallet.Sig, error) {
	sig := make([]byte, 65)
	_, err := io.ReadFull(r, sig)
	return sig, err
}
func (wallets) VerifySignature([]byte, wallet.Sig, wallet.Address) (bool, error) { return true, nil }

type channels struct{ id wallet.BackendID }

func (channels) CalcID(*channel.Params) (channel.ID, error) { return channel.ID{1}, nil }
func (channels) Sign(wallet.Account, *channel.State) (wallet.Sig, error) {
	return nil, errors.New("no key")
}
func (channels) Verify(wallet.Address, *channel.State, wallet.Sig) (bool, error) { return true, nil }
func (c channels) NewAsset() channel.Asset {
	if c.id == 1 {
		return &ethereum{}
	}
	return &asset{}
}
func (channels) NewAppID() (channel.AppID, error) { return &appID{}, nil }

func unhex(text string) []byte {
	bytes, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return bytes
}

func fill(first byte) (out [32]byte) {
	for i := range out {
		out[i] = first + byte(i)
	}
	return
}

func number(text string) *big.Int {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		panic(text)
	}
	return n
}

type (
	walletMap = map[wallet.BackendID]wallet.Address
	wireMap   = map[wallet.BackendID]wire.Address
)

var (
	partA  = walletMap{1: &raw{1, unhex("19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A")}}
	partB  = walletMap{1: &raw{1, unhex("1563915e194D8CfBA1943570603F7606A3115508")}}
	sigA   = unhex("c3213c90c43d6b026b7440f27afe33c7e68b43d30b1517b1fee0824204327e5e37ff17ef2abb2f374a9737ac3b849a7fb7f9f8215ae3831392b56d8b923c16031c")
	sigB   = unhex("02cb06062844714c74b5c04ab7e990d4caab90292a9b0c749adef17e52698018068e7e9b0c8dc42413b4a6836958205d7f73c4c136a4595ab5f68ab9d97ad3c21b")
	sigU   = unhex("cd63db9f8f91b8c6e988dcdc6b6ce98d734e4a15914ee76b527ca5db2caf88197a505ed0a5ea1481c124428ee971e96845451e83f171a3a9a4c247f98cd09ac31b")
	id     = [32]byte(unhex("342f9fe1510e78c67c17284df8bb880e5d3faa2bc9290db23708f29862148688"))
	token  = &ethereum{&raw{data: unhex("0539")}, &raw{data: bytes.Repeat([]byte{0xaa}, 20)}}
	other  = &asset{raw{data: bytes.Repeat([]byte{0x5a}, 32)}}
	theApp = app{&appID{raw{data: bytes.Repeat([]byte{0xcc}, 20)}}}
	alice  = wireMap{1: &simple.Address{Name: "alice"}}
	bob    = wireMap{1: &simple.Address{Name: "bob"}}
)

func aux() (out channel.Aux) {
	copy(out[:], "aux")
	return
}

func one(first, second string) channel.Allocation {
	return channel.Allocation{
		Assets:   []channel.Asset{token},
		Backends: []wallet.BackendID{1},
		Balances: channel.Balances{{number(first), number(second)}},
	}
}

func two() channel.Allocation {
	out := one("1000000000000000000", "0")
	out.Assets = append(out.Assets, other)
	out.Backends = append(out.Backends, 2)
	max := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	out.Balances = append(out.Balances, []channel.Bal{max, big.NewInt(255)})
	return out
}

func state(version uint64, allocation channel.Allocation, final bool) *channel.State {
	return &channel.State{
		ID: id, Version: version, App: channel.NoApp(), Data: channel.NoData(),
		Allocation: allocation, IsFinal: final,
	}
}

func update(state *channel.State, actor channel.Index) client.ChannelUpdateMsg {
	return client.ChannelUpdateMsg{
		ChannelUpdate: client.ChannelUpdate{State: state, ActorIdx: actor}, Sig: sigU,
	}
}

func base(allocation channel.Allocation) client.BaseChannelProposal {
	return client.BaseChannelProposal{
		ProposalID: fill(0x40), ChallengeDuration: 3600, NonceShare: fill(0),
		App: channel.NoApp(), InitData: channel.NoData(), InitBals: &allocation,
		FundingAgreement: allocation.Balances, Aux: aux(),
	}
}

func signed(final bool, sigs ...wallet.Sig) channel.SignedState {
	params := channel.NewParamsUnsafe(60, []walletMap{partA, partB}, channel.NoApp(),
		new(big.Int).SetBytes(unhex("c8ad478f4e1dd9d47dfc3b985708d92db1f8db48fe9cddd459e63c321f490402")),
		false, true, aux())
	return channel.SignedState{Params: params, State: state(0, one("1", "2"), final), Sigs: sigs}
}

type vector struct {
	name string
	msg  wire.Msg
}

func vectors() []vector {
	plain := update(state(1, one("900000000000000000", "2100000000000000000"), false), 0)
	withApp := update(state(300, two(), true), 1)
	withApp.State.App = theApp
	withApp.State.Data = &data{raw{data: []byte("state")}}
	locked := update(state(3, one("10", "20"), false), 0)
	locked.State.Locked = []channel.SubAlloc{
		{ID: fill(0xc0), Bals: []channel.Bal{big.NewInt(5)}},
		{ID: fill(0xa0), Bals: []channel.Bal{big.NewInt(7)}, IndexMap: []channel.Index{1, 0}},
	}
	ping := &wire.PingMsg{PingPongMsg: wire.PingPongMsg{Created: time.Unix(1700000000, 123456789)}}
	pong := &wire.PongMsg{PingPongMsg: wire.PingPongMsg{Created: time.Unix(-1, 5)}}
	peers := []wireMap{alice, bob}
	appBase := base(two())
	appBase.App, appBase.InitData = theApp, &data{raw{data: []byte("begin")}}
	appBase.FundingAgreement = channel.Balances{
		{number("400000000000000000"), number("600000000000000000")}, {big.NewInt(0), big.NewInt(256)},
	}
	fiveAssets := base(one("1", "2"))
	for i := byte(0); i < 4; i++ {
		holder := &raw{data: bytes.Repeat([]byte{i}, 20)}
		fiveAssets.InitBals.Assets = append(fiveAssets.InitBals.Assets, &ethereum{&raw{data: []byte{1}}, holder})
		fiveAssets.InitBals.Backends = append(fiveAssets.InitBals.Backends, 1)
		fiveAssets.InitBals.Balances = append(fiveAssets.InitBals.Balances, []channel.Bal{big.NewInt(3), big.NewInt(4)})
	}
	threeParts := base(one("1", "2"))
	threeParts.InitBals.Balances[0] = append(threeParts.InitBals.Balances[0], big.NewInt(3))
	threeState := state(9, *threeParts.InitBals, false)
	big1024 := one("0", "0")
	big1024.Balances[0][0].Lsh(big.NewInt(1), 1023)
	carol := wireMap{1: &simple.Address{Name: "carol"}}
	stellar := walletMap{2: &raw{2, bytes.Repeat([]byte{0x77}, 121)}}
	return []vector{
		{"ping", ping},
		{"pong", pong},
		{"shutdown", &wire.ShutdownMsg{Reason: "grüß Gott"}},
		{"auth_response", &wire.AuthResponseMsg{Signature: bytes.Repeat([]byte{0xab}, 256)}},
		{"ledger_proposal", &client.LedgerChannelProposalMsg{BaseChannelProposal: base(one("1000000000000000000", "2000000000000000000")), Participant: partA, Peers: peers}},
		{"ledger_proposal_app", &client.LedgerChannelProposalMsg{BaseChannelProposal: appBase, Participant: partA, Peers: peers}},
		{"ledger_acceptance", &client.LedgerChannelProposalAccMsg{BaseChannelProposalAcc: client.BaseChannelProposalAcc{ProposalID: fill(0x40), NonceShare: fill(0x20)}, Participant: partB}},
		{"sub_proposal", &client.SubChannelProposalMsg{BaseChannelProposal: base(one("3", "4")), Parent: id}},
		{"sub_acceptance", &client.SubChannelProposalAccMsg{BaseChannelProposalAcc: client.BaseChannelProposalAcc{ProposalID: fill(0x40), NonceShare: fill(0x20)}}},
		{"virtual_proposal", &client.VirtualChannelProposalMsg{BaseChannelProposal: base(one("3", "4")), Proposer: partA, Peers: peers, Parents: []channel.ID{id, fill(0x60)}, IndexMaps: [][]channel.Index{{0, 1}, {1, 0}}}},
		{"virtual_acceptance", &client.VirtualChannelProposalAccMsg{BaseChannelProposalAcc: client.BaseChannelProposalAcc{ProposalID: fill(0x40), NonceShare: fill(0x20)}, Responder: partB}},
		{"proposal_rejection", &client.ChannelProposalRejMsg{ProposalID: fill(0x40), Reason: "too little"}},
		{"update", &plain},
		{"update_app", &withApp},
		{"update_locked", &locked},
		{"virtual_funding", &client.VirtualChannelFundingProposalMsg{ChannelUpdateMsg: plain, Initial: signed(false, sigA, sigB), IndexMap: []channel.Index{1, 0}}},
		{"virtual_settlement", &client.VirtualChannelSettlementProposalMsg{ChannelUpdateMsg: plain, Final: signed(true, sigA, nil)}},
		{"update_acceptance", &client.ChannelUpdateAccMsg{ChannelID: id, Version: 0, Sig: sigB}},
		{"update_rejection", &client.ChannelUpdateRejMsg{ChannelID: id, Version: 7, Reason: "no"}},
		{"sync", &client.ChannelSyncMsg{Phase: channel.Acting, CurrentTX: channel.Transaction{State: state(0, one("1000000000000000000", "2000000000000000000"), false), Sigs: []wallet.Sig{sigA, sigB}}}},
		{"sync_half", &client.ChannelSyncMsg{Phase: channel.Signing, CurrentTX: channel.Transaction{State: state(1, one("1", "2"), false), Sigs: []wallet.Sig{nil, sigB}}}},
		{"sync_none", &client.ChannelSyncMsg{Phase: channel.InitActing}},
		{"wide_assets", &client.LedgerChannelProposalMsg{BaseChannelProposal: fiveAssets, Participant: partA, Peers: peers}},
		{"wide_participants", &client.LedgerChannelProposalMsg{BaseChannelProposal: threeParts, Participant: partA, Peers: append(peers, carol)}},
		{"wide_amount", &client.SubChannelProposalMsg{BaseChannelProposal: base(big1024), Parent: id}},
		{"wide_address", &client.LedgerChannelProposalMsg{BaseChannelProposal: base(one("1", "2")), Participant: stellar, Peers: peers}},
		{"wide_sync", &client.ChannelSyncMsg{Phase: channel.Acting, CurrentTX: channel.Transaction{State: threeState, Sigs: []wallet.Sig{sigA, nil, sigB}}}},
	}
}

func key() wireMap {
	modulus := bytes.Repeat([]byte{0xc3}, 256)
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}
	return wireMap{1: &simple.Address{Name: "carol.example", PublicKey: public}}
}

var codecs = map[string]wire.EnvelopeSerializer{
	"perunio": perunioSerializer.Serializer(), "protobuf": protobuf.Serializer(),
}

func main() {
	for _, backend := range []wallet.BackendID{1, 2} {
		wallet.SetBackend(wallets{backend}, int(backend))
		channel.SetBackend(channels{backend}, int(backend))
	}
	channel.RegisterDefaultApp(resolver{})
	if len(os.Args) > 1 && os.Args[1] == "read" {
		read()
		return
	}
	for _, vector := range vectors() {
		for _, name := range []string{"perunio", "protobuf"} {
			write(vector.name, name, &wire.Envelope{Sender: alice, Recipient: bob, Msg: vector.msg})
		}
	}
	keyed := vectors()[0].msg
	for _, name := range []string{"perunio", "protobuf"} {
		write("keyed", name, &wire.Envelope{Sender: key(), Recipient: bob, Msg: keyed})
	}
}

func write(name, codec string, envelope *wire.Envelope) {
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Fprintln(os.Stderr, name, codec, "panics:", reason)
		}
	}()
	var out bytes.Buffer
	if err := codecs[codec].Encode(&out, envelope); err != nil {
		fmt.Fprintln(os.Stderr, name, codec, err)
		return
	}
	fmt.Println(name, codec, hex.EncodeToString(out.Bytes()))
}

func read() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		fmt.Println(fields[0], fields[1], reread(fields[1], unhex(fields[2])))
	}
}

func reread(codec string, in []byte) (verdict string) {
	defer func() {
		if reason := recover(); reason != nil {
			verdict = fmt.Sprint("panics: ", reason)
		}
	}()
	reader := bytes.NewReader(in)
	envelope, err := codecs[codec].Decode(reader)
	if err != nil {
		return err.Error()
	}
	var out bytes.Buffer
	if err := codecs[codec].Encode(&out, envelope); err != nil {
		return err.Error()
	}
	if reader.Len() != 0 {
		return fmt.Sprint("leaves ", reader.Len(), " bytes")
	}
	if bytes.Equal(in, out.Bytes()) {
		return "same"
	}
	return "other"
}
