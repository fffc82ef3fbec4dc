#include "operators/privacy/dictionaries.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>

#include "base/error.hpp"

namespace sluice::privacy {

namespace {

struct Lists {
    std::string_view locale;
    std::string_view first_names;
    std::string_view last_names;
    std::string_view cities;
};

// Common ones, in no order that means anything.
// clang-format off
constexpr std::array locales{
    Lists{"en",
      "James|Mary|Robert|Patricia|John|Jennifer|Michael|Linda|David|Elizabeth|William|Barbara|Richard|Susan|Joseph|Jessica|Thomas|Sarah|Charles|Karen|Christopher|Lisa|Daniel|Nancy|Matthew|Betty|Anthony|Sandra|Mark|Margaret|Donald|Ashley|Steven|Kimberly|Andrew|Emily|Paul|Donna|Joshua|Michelle|Kenneth|Carol|Kevin|Amanda|Brian|Melissa|George|Deborah|Timothy|Stephanie|Ronald|Rebecca|Jason|Laura|Edward|Helen|Jeffrey|Sharon|Ryan|Cynthia|Jacob|Kathleen|Gary|Amy|Nicholas|Angela|Eric|Anna|Jonathan|Ruth|Stephen|Brenda|Larry|Pamela|Justin|Nicole|Scott|Katherine|Brandon|Samantha|Benjamin|Christine|Samuel|Emma|Gregory|Catherine|Alexander|Virginia|Patrick|Rachel|Frank|Olivia|Raymond|Grace|Jack|Alice|Dennis|Sophia|Jerry|Hannah|Tyler|Julia|Aaron|Chloe|Henry|Lucy|Oliver|Ella|Peter|Mia",
      "Smith|Johnson|Williams|Brown|Jones|Miller|Davis|Wilson|Anderson|Thomas|Taylor|Moore|Jackson|Martin|Lee|Thompson|White|Harris|Clark|Lewis|Robinson|Walker|Young|Allen|King|Wright|Scott|Hill|Green|Adams|Baker|Nelson|Carter|Mitchell|Roberts|Turner|Phillips|Campbell|Parker|Evans|Edwards|Collins|Stewart|Morris|Rogers|Reed|Cook|Morgan|Bell|Murphy|Bailey|Cooper|Richardson|Cox|Howard|Ward|Peterson|Gray|Watson|Brooks|Kelly|Sanders|Price|Bennett|Wood|Barnes|Ross|Henderson|Coleman|Jenkins|Perry|Powell|Long|Patterson|Hughes|Foster|Butler|Simmons|Bryant|Russell",
      "Ashford|Bedford|Bristol|Cambridge|Chester|Dover|Durham|Exeter|Fairview|Franklin|Georgetown|Greenville|Hamilton|Kingston|Lancaster|Lincoln|Madison|Manchester|Milford|Milton|Newport|Oakland|Oxford|Plymouth|Portland|Richmond|Riverside|Salem|Springfield|Stafford|Warwick|Winchester|Windsor|Worcester|York"},
    Lists{"de",
      "Anna|Ben|Emilia|Paul|Mia|Leon|Hannah|Finn|Emma|Elias|Sophia|Jonas|Lina|Luis|Marie|Felix|Lea|Lukas|Ella|Maximilian|Clara|Henry|Lena|Noah|Leni|Luca|Luisa|Oskar|Johanna|Emil|Mathilda|Anton|Frieda|Jakob|Charlotte|Moritz|Katharina|David|Maria|Philipp|Julia|Tim|Laura|Jan|Sarah|Niklas|Lisa|Simon|Greta|Hans|Ursula|Klaus|Sabine|Wolfgang|Petra|Heinz|Monika|Dieter|Karin|Manfred|Renate|Stefan|Claudia|Andreas|Susanne|Thomas|Birgit|Frank|Heike|Uwe|Gabriele",
      "Bauer|Becker|Berger|Braun|Busch|Fischer|Frank|Fuchs|Graf|Haas|Hahn|Hartmann|Hofmann|Huber|Kaiser|Keller|Klein|Koch|Kuhn|Lang|Lange|Lehmann|Lorenz|Maier|Mayer|Meyer|Neumann|Peters|Pohl|Richter|Roth|Schmidt|Schmitt|Schneider|Scholz|Schreiber|Schubert|Schulz|Schulze|Schwarz|Seidel|Sommer|Stein|Vogel|Vogt|Wagner|Walter|Weber|Winkler|Winter|Wolf|Ziegler|Zimmermann",
      "Aachen|Augsburg|Bamberg|Bayreuth|Bonn|Bremen|Celle|Chemnitz|Coburg|Dessau|Dortmund|Dresden|Eisenach|Erfurt|Essen|Flensburg|Freiburg|Fulda|Gera|Goslar|Gotha|Halle|Hanau|Jena|Karlsruhe|Kassel|Kiel|Koblenz|Landshut|Leipzig|Mainz|Marburg|Passau|Potsdam|Rostock|Schwerin|Speyer|Trier|Ulm|Weimar|Worms"},
    Lists{"es",
      "Antonio|Maria|Manuel|Carmen|Jose|Ana|Francisco|Isabel|David|Laura|Juan|Cristina|Javier|Marta|Daniel|Dolores|Carlos|Lucia|Miguel|Pilar|Alejandro|Elena|Rafael|Sara|Pedro|Paula|Pablo|Raquel|Angel|Beatriz|Sergio|Rosa|Fernando|Alba|Jorge|Julia|Luis|Rocio|Alberto|Silvia|Alvaro|Teresa|Diego|Patricia|Adrian|Irene|Raul|Andrea|Ivan|Natalia|Ruben|Marina|Oscar|Nuria|Enrique|Sofia|Ramon|Claudia|Vicente|Ines|Andres|Lola|Victor|Alicia|Mario|Esther|Hugo|Blanca|Martin|Eva",
      "Alonso|Alvarez|Blanco|Calvo|Campos|Cano|Castillo|Castro|Cruz|Delgado|Diaz|Diez|Dominguez|Duran|Fernandez|Flores|Fuentes|Garcia|Garrido|Gil|Gimenez|Gomez|Gonzalez|Guerrero|Gutierrez|Hernandez|Herrera|Iglesias|Jimenez|Leon|Lopez|Lozano|Marin|Martinez|Medina|Mendez|Molina|Morales|Moreno|Navarro|Nieto|Ortega|Ortiz|Perez|Prieto|Ramirez|Ramos|Reyes|Rivera|Rodriguez|Romero|Rubio|Ruiz|Sanchez|Santos|Sanz|Serrano|Soto|Suarez|Torres|Vargas|Vazquez|Vega|Vidal",
      "Albacete|Alicante|Almeria|Avila|Badajoz|Bilbao|Burgos|Caceres|Cadiz|Cordoba|Cuenca|Gijon|Girona|Granada|Huelva|Huesca|Jaen|Leon|Lleida|Logrono|Lugo|Malaga|Merida|Murcia|Ourense|Oviedo|Palencia|Pamplona|Salamanca|Santander|Segovia|Sevilla|Soria|Tarragona|Teruel|Toledo|Valencia|Valladolid|Vigo|Zamora|Zaragoza"},
    Lists{"fr",
      "Gabriel|Louise|Raphael|Alice|Louis|Chloe|Lucas|Lina|Adam|Emma|Arthur|Rose|Jules|Lea|Hugo|Anna|Maxime|Mila|Nathan|Ambre|Paul|Julia|Victor|Manon|Martin|Camille|Antoine|Juliette|Nicolas|Sarah|Pierre|Marie|Jean|Claire|Michel|Sophie|Philippe|Nathalie|Alain|Isabelle|Patrick|Sylvie|Bernard|Catherine|Christophe|Sandrine|Laurent|Celine|Thomas|Charlotte|Julien|Pauline|Guillaume|Mathilde|Olivier|Margaux|Vincent|Helene|Sebastien|Elodie|Francois|Audrey|Jacques|Monique|Henri|Francoise",
      "Andre|Arnaud|Aubert|Barbier|Benoit|Bernard|Bertrand|Blanc|Blanchard|Bonnet|Boyer|Brun|Carpentier|Chevalier|Clement|Colin|David|Denis|Dubois|Dufour|Dumas|Dumont|Dupont|Durand|Duval|Fabre|Faure|Fontaine|Fournier|Garnier|Gauthier|Gautier|Girard|Giraud|Guerin|Henry|Jean|Joly|Lambert|Laurent|Leclerc|Lefebvre|Legrand|Lemaire|Leroy|Marchand|Mathieu|Mercier|Meunier|Michel|Morel|Morin|Moulin|Noel|Petit|Perrin|Picard|Renard|Renaud|Richard|Rousseau|Roussel|Roux|Simon|Thomas|Vidal|Vincent",
      "Agen|Albi|Amiens|Angers|Annecy|Arles|Arras|Auch|Avignon|Bayonne|Beauvais|Blois|Bourges|Brest|Caen|Cahors|Calais|Cannes|Chartres|Colmar|Dax|Dijon|Dole|Gap|Grenoble|Laval|Lens|Lille|Limoges|Lyon|Metz|Nancy|Nantes|Nevers|Nice|Niort|Orange|Pau|Poitiers|Quimper|Reims|Rennes|Rodez|Rouen|Sens|Tarbes|Toulon|Tours|Troyes|Tulle|Valence|Vannes|Vichy"},
    Lists{"pt",
      "Maria|Joao|Ana|Jose|Francisca|Antonio|Antonia|Francisco|Adriana|Carlos|Juliana|Paulo|Marcia|Pedro|Fernanda|Lucas|Patricia|Luiz|Aline|Marcos|Sandra|Luis|Camila|Gabriel|Amanda|Rafael|Bruna|Daniel|Jessica|Marcelo|Leticia|Bruno|Julia|Eduardo|Luciana|Felipe|Vanessa|Rodrigo|Mariana|Manoel|Gabriela|Mateus|Vera|Andre|Vitoria|Fernando|Larissa|Fabio|Claudia|Leonardo|Beatriz|Gustavo|Rita|Guilherme|Luana|Leandro|Sonia|Tiago|Renata|Anderson|Eliane|Ricardo|Silvia|Diogo|Ines|Goncalo|Matilde|Duarte|Carolina",
      "Almeida|Alves|Andrade|Araujo|Azevedo|Barbosa|Barros|Batista|Borges|Braga|Campos|Cardoso|Carvalho|Castro|Coelho|Correia|Costa|Cruz|Cunha|Dias|Duarte|Esteves|Faria|Fernandes|Ferreira|Figueiredo|Fonseca|Freitas|Gomes|Goncalves|Henriques|Leite|Lima|Lopes|Lourenco|Macedo|Machado|Magalhaes|Marques|Martins|Matos|Melo|Mendes|Miranda|Monteiro|Moreira|Moura|Nascimento|Neves|Nogueira|Nunes|Oliveira|Pacheco|Pereira|Pinheiro|Pinto|Pires|Ramos|Reis|Ribeiro|Rocha|Rodrigues|Santos|Silva|Simoes|Soares|Sousa|Tavares|Teixeira|Vaz|Vieira",
      "Abrantes|Aveiro|Barcelos|Beja|Braga|Caldas|Campinas|Cascais|Castelo Branco|Chaves|Coimbra|Covilha|Curitiba|Elvas|Espinho|Estoril|Estremoz|Evora|Faro|Fatima|Funchal|Guarda|Lagos|Lamego|Leiria|Loures|Mafra|Mirandela|Natal|Niteroi|Obidos|Olinda|Peniche|Pombal|Portalegre|Porto|Recife|Salvador|Santos|Setubal|Silves|Sines|Sintra|Tavira|Tomar|Viseu"},
};
// clang-format on

std::vector<std::string_view> split(std::string_view list) {
    std::vector<std::string_view> out;
    while (!list.empty()) {
        const std::size_t bar = std::min(list.find('|'), list.size());
        out.push_back(list.substr(0, bar));
        list.remove_prefix(std::min(bar + 1, list.size()));
    }
    return out;
}

std::string_view chosen(const std::vector<std::string_view>& list, std::string_view bytes) {
    std::uint64_t number = 0;
    for (const char c : bytes.substr(0, 8)) number = (number << 8) | static_cast<unsigned char>(c);
    return list[number % list.size()];
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

}  // namespace

Dictionary::Dictionary(std::string_view list, std::string_view second)
    : first_(split(list)), second_(split(second)) {}

std::string Dictionary::pick(std::string_view digest) const {
    std::string out(chosen(first_, digest));
    if (!second_.empty()) out += " " + std::string(chosen(second_, digest.substr(8)));
    return out;
}

const Dictionary& dictionary_of(const std::string& name, const std::string& locale) {
    static const auto all = [] {
        std::map<std::pair<std::string, std::string>, Dictionary> made;
        for (const Lists& lists : locales) {
            const std::string of(lists.locale);
            made.emplace(std::pair{"first_name", of}, Dictionary(lists.first_names));
            made.emplace(std::pair{"last_name", of}, Dictionary(lists.last_names));
            made.emplace(
                std::pair{"full_name", of}, Dictionary(lists.first_names, lists.last_names)
            );
            made.emplace(std::pair{"city", of}, Dictionary(lists.cities));
        }
        return made;
    }();
    const auto found = all.find({name, locale});
    if (found == all.end())
        throw Error(ErrorCode::invalid, "there is no dictionary " + name + " for " + locale);
    return found->second;
}

bool is_first_name(std::string_view word) {
    static const auto all = [] {
        std::set<std::string, std::less<>> made;
        for (const Lists& lists : locales)
            for (const std::string_view name : split(lists.first_names)) made.insert(lower(name));
        return made;
    }();
    return all.contains(lower(word));
}

}  // namespace sluice::privacy
